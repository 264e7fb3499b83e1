"""Read a made-up dataset as any other: slides with incomplete annotations, and the truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from models.annotations import Role
from models.errors import AnnotationError, InputError
from storage.datasets.measured import measured
from storage.datasets.protocol import KnownWindow, RefusedItem, SourceItem
from storage.datasets.synthetic.qupath import read_geojson
from storage.datasets.synthetic.settings import MADE_UP
from storage.datasets.synthetic.slides import FORMAT_VERSION, INDEX
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SyntheticReader:
    """Yields the slides of a folder that `make_dataset` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.total = 0
        """How many slides there are; known once reading has begun."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each slide, or why it is refused.

        Raises
        ------
        InputError
            If the folder holds no synthetic dataset that this version reads.
        """
        entries = self._entries()
        self.total = len(entries)
        with ImageDecoder() as decoder:
            for index, entry in enumerate(entries):
                yield self._read(index, entry, decoder)

    def _read(self, index: int, entry: object, decoder: ImageDecoder) -> SourceItem | RefusedItem:
        if not isinstance(entry, dict):
            return RefusedItem(f"slides[{index}]", f"{INDEX} lists {entry!r:.60}, no slide")
        name = str(entry.get("name", "?"))
        try:
            return self._item(name, entry, decoder)
        except InputError as error:
            return RefusedItem(name, str(error))
        except (KeyError, TypeError, ValueError) as error:
            reason = f"its entry in {INDEX} lacks or misnames {error}. Make the dataset again."
            return RefusedItem(name, reason)

    def _entries(self) -> list[Any]:
        path = self._folder / INDEX
        try:
            index = json.loads(path.read_text())
            version, slides = index["format_version"], index["slides"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self._folder}: no readable {INDEX} of a synthetic dataset there ({error}). "
                f"Give the folder that holds it."
            ) from error
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: format version {version}, this signetflow reads {FORMAT_VERSION}. "
                f"Make the dataset again."
            )
        if not isinstance(slides, list):
            raise InputError(f"{path}: slides is no list. Make the dataset again.")
        return slides

    def _item(self, name: str, entry: dict[str, Any], decoder: ImageDecoder) -> SourceItem:
        slide = self._inside(entry["slide"])
        file, stated = measured(slide, None, decoder), (int(entry["width"]), int(entry["height"]))
        if (file.width, file.height) != stated:
            raise AnnotationError(
                f"{slide.name} has {file.width} x {file.height} px, {INDEX} says {stated[0]} x "
                f"{stated[1]}. Make the dataset again."
            )
        partial = read_geojson(self._inside(entry["annotations"]))
        rest = Role(entry["rest"])
        return SourceItem(
            name=name,
            path=slide,
            width=file.width,
            height=file.height,
            mpp=float(entry["mpp"]),
            windows=tuple(KnownWindow(window, Role.POSITIVE) for window in partial.windows),
            rest=rest,
            annotations=partial.cells,
            truth=read_geojson(self._inside(entry["truth"])).cells,
            attributes={"slide": name, "organ": str(entry["organ"]), **MADE_UP},
        )

    def _inside(self, name: str) -> Path:
        """Return a file of the folder; a dataset must not point elsewhere."""
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise AnnotationError(
                f"{self._folder / INDEX}: {name} lies outside the folder. Files of a dataset must "
                f"lie in its own folder."
            )
        if not path.is_file():
            raise AnnotationError(f"{path}: missing, though {INDEX} lists it. Copy it there.")
        return path
