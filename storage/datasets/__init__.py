"""Readers of what users have, behind one protocol."""
