"""From class probabilities to cells."""
