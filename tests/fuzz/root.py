"""Where the project lies; the targets of fuzzing import it in a process of their own."""

from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
