"""One file per box of the figure: storage wired into one function of models."""
