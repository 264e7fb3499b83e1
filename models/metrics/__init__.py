"""How good detections are, under complete and partial annotation."""
