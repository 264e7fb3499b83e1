"""What image libraries print about damage that they then pass over in silence."""

from __future__ import annotations

import os
import re
import tempfile

STDERR = 2
_BEFORE_MARKER = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0x(..)")
_JPEG = ("Corrupt JPEG data", "Premature end of JPEG", "Invalid SOS parameters", "Inconsistent pro")
_TIFF = re.compile(r"(\w*Decode\w*|\w*Fill(Strip|Tile)|JPEGLib|OJPEG\w*): (?!Warning)")


def damage_in(printed: str) -> str | None:
    """Return the first line that means that pixels are missing or wrong, or None.

    Parameters
    ----------
    printed : str
        What libjpeg and libtiff wrote. Bytes before a marker of the header or before the end of a
        JPEG are no damage: many cameras write some. Before a restart marker they are lost pixels.
    """
    for line in printed.splitlines():
        before = _BEFORE_MARKER.match(line)
        if before and not "d0" <= before.group(1) <= "d7":
            continue
        if line.startswith(_JPEG) or _TIFF.match(line):
            return line
    return None


class Complaints:
    """Takes what this process prints on stderr; for a process that nobody watches."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process is
        os.dup2(self._file.fileno(), STDERR)

    def heard(self) -> str:
        """Return what was printed since the last call."""
        self._file.seek(0)
        text = self._file.read(1 << 16).decode(errors="replace")
        self._file.seek(0)
        self._file.truncate()
        return text
