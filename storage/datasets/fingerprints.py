"""What tells one file from another: its bytes, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from models.errors import ImageError
from models.geometry.tiles import choose_level
from storage.artefacts import hash_file
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from pathlib import Path

    from storage.datasets.protocol import SourceItem
    from storage.datasets.registered import Catalogue
    from storage.slides import Slide

OVERVIEW_PX = 384
"""Longest side of what is looked at."""
MOST_PIXELS = 64_000_000
"""A slide without a coarse level would be read whole: it is compared by its bytes only."""


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
        self._decoder = ImageDecoder()
        self._taken: dict[str, Fingerprint] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def of(self, item: SourceItem) -> Fingerprint:
        """Return the fingerprint of an item's file.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        if item.name not in self._taken:
            self._taken[item.name] = self._take(item)
        return self._taken[item.name]

    def _take(self, item: SourceItem) -> Fingerprint:
        path = item.path.resolve()
        stat = path.stat()
        old = self._at.get(path)
        same = old is not None and (old.size, old.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        digest = old.digest if old and same else hash_file(path)
        if self._looks.get(digest) is None:
            self._looks[digest] = look_at(path, item.mpp, self._decoder)
        return Fingerprint(digest, stat.st_size, stat.st_mtime_ns, self._looks[digest])


def look_at(path: Path, mpp: float | None, decoder: ImageDecoder) -> str | None:
    """Return the perceptual hash of a slide or image, None where it cannot be had.

    That is no reason to refuse the file: cutting it into regions says what is wrong with it.
    """
    from storage.datasets.likeness import look_of
    from storage.slides import open_slide

    try:
        with open_slide(path, mpp, decoder=decoder) as slide:
            if _pixels_to_read(slide) > MOST_PIXELS:
                return None
            return look_of(slide.overview(OVERVIEW_PX)[0])
    except ImageError:
        return None


def _pixels_to_read(slide: Slide) -> float:
    downsample = max(1.0, max(slide.width, slide.height) / OVERVIEW_PX)
    finest = slide.level_downsamples[choose_level(slide.level_downsamples, downsample)]
    return slide.width * slide.height / finest**2
