"""All slides of a dataset on their way through the workers that cut them."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from models.annotations import Role
from models.geometry.tiles import Window
from storage.cutting import Cut, begin, chunks_of, cut, new_array
from storage.datasets.protocol import KnownWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.errors import ImageError
    from storage.block_work import Workers
    from storage.cutting import Begun, Chunk, Source
    from storage.datasets.registered import CatalogueItem
    from storage.parts import Parts

CUTTING = ".cutting-"
"""Prefix of a folder for the arrays of slides that are not cut to their end, and may turn out
damaged. Each attempt has its own: workers of a killed one may still write to theirs."""


def place_for_cutting(parts: Parts) -> Path:
    """Return a new folder beside finished slides, and remove those of killed attempts."""
    for left in parts.folder.glob(f"{CUTTING}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = parts.folder.absolute() / f"{CUTTING}{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    return folder


@dataclass(slots=True)
class CutSlide:
    """One slide or image on its way."""

    item: CatalogueItem
    source: Source
    windows: tuple[KnownWindow, ...] = ()
    error: ImageError | None = None
    n_missing: int = 0
    """Blocks of which nothing was heard yet."""
    digests: list[list[str]] = field(default_factory=list)
    """Of the blocks of each window."""
    is_begun: bool = False
    is_kept: bool = False
    """Whether it is a finished part."""

    @property
    def part(self) -> str:
        """Return what the slide is called among those that are finished."""
        return str(self.source.number)

    def begun(self, what: Begun) -> list[Chunk]:
        """Take in what a worker found; return the work that is left."""
        self.is_begun, self.windows, self.error = True, what.windows, what.error
        self.digests = [[] for _ in what.windows]
        chunks = chunks_of(self.source, what.windows)
        self.n_missing = sum(len(chunk.blocks) for chunk in chunks)
        if what.cut is None:
            return chunks
        digests = iter(what.cut.digests)
        for chunk in chunks:
            self.take(chunk, Cut(tuple(islice(digests, len(chunk.blocks)))))
        return []

    def take(self, chunk: Chunk, done: Cut) -> None:
        """Take in what a worker made of a chunk."""
        self.error = self.error or done.error
        self.n_missing -= len(chunk.blocks)
        for block, digest in zip(chunk.blocks, done.digests, strict=False):
            self.digests[block.number].append(digest)

    def finish(self, parts: Parts) -> None:
        """Keep what was cut, unless the slide turned out damaged."""
        if self.error is None and not self.is_kept:
            windows = [[*astuple(one.window), one.role] for one in self.windows]
            facts = {"windows": windows, "digests": self.digests}
            parts.adopt(self.part, self.source.folder, facts)
            self.is_kept = True

    def take_over(self, parts: Parts) -> None:
        """Keep what an earlier attempt has cut, if it came so far."""
        facts = parts.take_over(self.part)
        if facts is not None:
            self.windows = tuple(
                KnownWindow(Window(*place), Role(role)) for *place, role in facts["windows"]
            )
            self.digests, self.is_begun, self.is_kept = facts["digests"], True, True


class Cutting:
    """Has workers write the pixels of regions.

    Parameters
    ----------
    workers
        Who does it.
    slides
        What to cut.
    parts
        Takes slides that are finished.
    tell : callable
        Called with the number of slides done and their total.
    """

    def __init__(
        self,
        workers: Workers,
        slides: list[CutSlide],
        parts: Parts,
        tell: Callable[[int, int], None],
    ) -> None:
        self._workers, self._slides, self._parts, self._tell = workers, slides, parts, tell
        self._n_finished = 0

    def run(self, file: Callable[[str], Path]) -> None:
        """Cut all slides; the tissue of the next is looked for while the blocks of one are cut.

        `file` returns the path of an item after a check that it is what was registered.
        """
        self._tell(0, len(self._slides))
        for slide in self._slides:
            slide.take_over(self._parts)
        for chunk, done in self._workers.each(cut, self._chunks(file)):
            self._slides[chunk.source.number].take(chunk, done)
            self._finish()
        self._finish()

    def _sources(self, file: Callable[[str], Path]) -> Iterator[Source]:
        for slide in self._slides:
            if not slide.is_kept:
                file(slide.item.name)
                slide.source.folder.mkdir()
                yield slide.source

    def _chunks(self, file: Callable[[str], Path]) -> Iterator[Chunk]:
        for source, begun in self._workers.each(begin, self._sources(file)):
            slide = self._slides[source.number]
            chunks = slide.begun(begun)
            for number, one in enumerate(slide.windows if chunks else ()):
                new_array(source, number, one.window)
            for chunk in chunks:
                if slide.error is None:
                    yield chunk
                else:
                    slide.take(chunk, Cut())
            self._finish()  # slides that were small enough to be done at once leave no chunk

    def _finish(self) -> None:
        """Keep the slides that are done, in their order, and tell of each."""
        while self._n_finished < len(self._slides):
            slide = self._slides[self._n_finished]
            if slide.n_missing or not slide.is_begun:
                return
            slide.finish(self._parts)
            self._n_finished += 1
            self._tell(self._n_finished, len(self._slides))
