"""Windows over a region, blended into one map."""
