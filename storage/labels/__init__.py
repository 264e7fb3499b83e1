"""Label versions: who said that this is a cell, and when."""
