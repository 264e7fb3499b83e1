"""One file per paper: its settings and its label rule."""
