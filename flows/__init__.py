"""The figures: straight lists of stages, the command line and operations."""
