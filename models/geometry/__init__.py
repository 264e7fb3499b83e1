"""Boxes, tiles and masks: the only place for level and resolution arithmetic."""
