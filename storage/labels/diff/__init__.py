"""What differs between two label versions: cells, pixel classes, and pictures of it."""
