"""Fuzzing: every parser gives a right result or one of our own errors, in time and memory."""

from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
