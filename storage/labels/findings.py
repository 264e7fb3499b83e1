"""What is wrong with label versions, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

AGAIN = "run the command that made it again: what is damaged is made anew"
IMPORT_AGAIN = "import the same reviewed file again: only a person's corrections make this version"
REPORT = "it was not written by this signetflow, or was tampered with; do not train on it"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a label version."""

    version: str
    """Digest."""
    place: str
    """File, or region, or empty for the version as a whole."""
    what: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        """Return everything as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{self.version[:8]}: {place}{self.what}; {self.remedy}."


@dataclass(slots=True)
class Checked:
    """What was looked at, and what was found."""

    findings: list[Finding] = field(default_factory=list)
    n_versions: int = 0
    n_regions: int = 0
    """Regions whose pixels were decoded; one that several versions share counts once."""
    n_files: int = 0
    n_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "ok": not self.findings,
            "versions": self.n_versions,
            "regions_decoded": self.n_regions,
            "files_hashed": self.n_files,
            "bytes_hashed": self.n_bytes,
            "findings": [one.to_json() for one in self.findings],
        }
