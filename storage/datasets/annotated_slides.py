"""Slides with a file of annotations beside each of them: what their readers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.annotations import Annotations, Role
from models.errors import AnnotationError, InputError, WrongUseError
from models.geometry.tiles import SAME_SCALE
from storage.datasets.beside import Pair, paired
from storage.datasets.drawn_slide import Wanted, known_of, known_windows
from storage.datasets.measured import measured
from storage.datasets.protocol import KnownWindow, RefusedItem, SourceItem
from storage.datasets.region_image import require_plausible
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from storage.datasets.drawn import Drawn, Unusable
    from storage.datasets.drawn_slide import Known
    from storage.images import Measured

CLASSES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Marks:
    """What a file of annotations says."""

    objects: Iterable[Drawn | Unusable]
    mpp: float | None = None
    """Micrometres per pixel of the slide on which it was drawn, where the file says it."""


class AnnotatedSlides(ABC):
    """Yields slides and images with what a person drew on them.

    Parameters
    ----------
    path : Path
        A folder with slides and annotations, also in its subfolders; or one slide, or one file of
        annotations.
    wanted : Wanted
        Which cells and regions are meant, and what holds for the rest of a slide.
    mpp : float, optional
        Micrometres per pixel, in place of what the files say.
    annotations : Path, optional
        A folder where the annotations lie, if not beside the slides.

    Raises
    ------
    WrongUseError
        If the pixel size is none of a microscope.
    """

    suffixes: Sequence[str]
    """How the names of annotation files end."""

    def __init__(
        self,
        path: Path,
        wanted: Wanted | None = None,
        mpp: float | None = None,
        annotations: Path | None = None,
    ) -> None:
        self._path = path
        self._wanted = wanted or Wanted()
        require_plausible(mpp)
        self._mpp = mpp
        self._annotations = annotations
        self.total = 0
        """How many slides there are; known once reading has begun."""

    @abstractmethod
    def marks(self, pair: Pair) -> Marks:
        """Return what the annotations of a slide say."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each slide with its cells, and each file or object that cannot be used.

        Raises
        ------
        InputError
            If there is nothing to read.
        WrongUseError
            If no object has the class that is asked for; known once all are read.
        """
        pairs, refused = paired(self._path, self.suffixes, self._annotations)
        self.total = len(pairs) + len(refused)
        yield from refused
        seen: Counter[str] = Counter()
        n_cells = n_annotated = 0
        with ImageDecoder() as decoder:
            for pair in pairs:
                try:
                    item, known = self._item(pair, decoder)
                except InputError as error:
                    yield RefusedItem(pair.slide_name, self._reason(error, pair))
                    continue
                seen.update(known.classes)
                n_cells += len(known.cells)
                n_annotated += any(one.role is Role.POSITIVE for one in item.windows)
                yield from known.refused
                yield item
        if n_annotated and not n_cells:
            self._require_class(seen)

    def _reason(self, error: InputError, pair: Pair) -> str:
        """Return why a slide is refused; its own path is known already."""
        text = str(error).removeprefix(f"{pair.slide}: ")
        file = pair.annotations
        if isinstance(error, AnnotationError):
            return f"{file.name}: {text.removeprefix(f'{file}: ')}"
        return text

    def _require_class(self, seen: Counter[str]) -> None:
        """Refuse classes that no object has, if others are there."""
        asked = self._wanted.class_names
        others = [f"{name or 'none'} ({count})" for name, count in seen.most_common(CLASSES_SHOWN)]
        if asked and others and not any(seen[one] for one in asked):
            raise WrongUseError(
                f"{self._path}: no object has the class {asked[0]!r}; there are "
                f"{', '.join(others)}. Choose one with --class, or leave it out to take all."
            )

    def _item(self, pair: Pair, decoder: ImageDecoder) -> tuple[SourceItem, Known]:
        marks = self.marks(pair)
        found = self._measured(pair, marks, decoder)
        size = found.width, found.height
        known = known_of(marks.objects, pair.annotations.name, size, self._wanted)
        windows = tuple(KnownWindow(window, role) for window, role in known_windows(known))
        free = not windows and self._wanted.role is Role.NEGATIVE
        item = SourceItem(
            name=pair.name,
            path=pair.slide,
            width=found.width,
            height=found.height,
            mpp=found.mpp,
            windows=windows,
            rest=self._wanted.rest if windows else self._wanted.role,
            annotations=known.cells,
            truth=Annotations.none() if free else known.truth,
            attributes={"slide": pair.name},
            truth_windows=None if free else known.truth_windows,
            noticed=known.noticed,
        )
        return item, known

    def _measured(self, pair: Pair, marks: Marks, decoder: ImageDecoder) -> Measured:
        """Return the slide's size; its annotations say the pixel size where nothing else does.

        Raises
        ------
        AnnotationError
            If they were drawn at another scale.
        """
        try:
            found = measured(pair.slide, self._mpp, decoder)
        except InputError:
            if self._mpp is not None or marks.mpp is None:
                raise
            found = measured(pair.slide, marks.mpp, decoder)  # a slide must have a pixel size
        own, drawn = found.mpp, marks.mpp
        if own is None:
            return replace(found, mpp=drawn)
        if self._mpp is None and drawn and abs(own / drawn - 1) > SAME_SCALE:
            raise AnnotationError(
                f"it was drawn at {drawn:g} micrometres per pixel, the slide has {own:g}: all "
                f"would lie in the wrong place. Give the slide that was annotated, or --mpp if the "
                f"two only state it differently."
            )
        return found
