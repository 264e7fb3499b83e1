"""What tells one file from another: its bytes, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from models.errors import ImageError
from storage.artefacts import hash_file
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.measuring import Measurer

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from storage.datasets.registered import Catalogue

OVERVIEW_PX = 384
"""Longest side of what is looked at."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One file as it was when it was registered."""

    digest: str
    """sha256 of the file."""
    size: int
    """Bytes."""
    mtime_ns: int
    look: str | None
    """As `storage.datasets.likeness.look_of` gives it; None where it could not be read."""


class Fingerprints:
    """Takes the fingerprints of files; those that an earlier version knows are not read again."""

    def __init__(self, before: Catalogue | None) -> None:
        self._at = {one.path: one for one in before.items} if before else {}
        self._looks = {one.digest: one.look for one in before.items} if before else {}
        self._sizes = {one.size for one in before.items} if before else set()
        self._measurer = Measurer()
        self._taken: dict[str, Fingerprint] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._measurer.close()

    def ahead(
        self, items: Iterable[SourceItem | RefusedItem]
    ) -> Iterator[tuple[SourceItem | RefusedItem, Future[None]]]:
        """Yield items in their order; the fingerprints of some that follow are taken meanwhile.

        ``result()`` raises what `of` raises.
        """
        return self._measurer.ahead(items, self._note)

    def of(self, item: SourceItem) -> Fingerprint:
        """Return the fingerprint of an item's file.

        Raises
        ------
        OSError
            If the file cannot be read.
        ImageError
            If it cannot be decoded.
        """
        if item.name not in self._taken:
            self._taken[item.name] = self._take(item)
        return self._taken[item.name]

    def _note(self, item: SourceItem | RefusedItem) -> None:
        if isinstance(item, SourceItem):
            self._taken[item.name] = self._take(item)

    def _take(self, item: SourceItem) -> Fingerprint:
        path = item.path.resolve()
        stat = path.stat()
        digest = self._known_digest(path, stat)
        look = self._looks.get(digest) if digest else None
        if look is None:
            look = look_at(item, self._measurer)
        # Looked at before it is hashed: what is no image may be of any size.
        return Fingerprint(digest or hash_file(path), stat.st_size, stat.st_mtime_ns, look)

    def _known_digest(self, path: Path, stat: os.stat_result) -> str | None:
        """Return the digest of a file that an earlier version may know, wherever it lay."""
        old = self._at.get(path)
        if old is not None and (old.size, old.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return old.digest
        return hash_file(path) if stat.st_size in self._sizes else None


def look_at(item: SourceItem, measurer: Measurer) -> str | None:
    """Return the perceptual hash of a slide or image, None where it would take too long.

    Raises
    ------
    ImageError
        If the file is damaged or not what its reader took it for.
    """
    from storage.datasets.likeness import look_of

    found = measurer.measure(item.path, item.mpp, overview_px=OVERVIEW_PX)
    if (found.width, found.height) != (item.width, item.height):
        raise ImageError(
            f"{item.path}: it has {found.width} x {found.height} px, its header says {item.width} "
            f"x {item.height}. Save it anew."
        )
    return None if found.overview is None else look_of(found.overview)
