"""What every reader of a dataset hands over, whatever format it read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from models.annotations import Annotations, Role
    from models.geometry.tiles import Window


@dataclass(frozen=True, slots=True)
class KnownWindow:
    """A part of an image or slide of which a person said something."""

    window: Window
    """In level-0 pixels."""
    role: Role


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One slide or region image with what is known of it."""

    name: str
    """Unique in the dataset; the stem of the file unless two share it."""
    path: Path
    width: int
    """Of level 0, in pixels."""
    height: int
    mpp: float | None
    """Micrometres per level-0 pixel; None where only pixels are known."""
    windows: tuple[KnownWindow, ...]
    """The parts with a role of their own; one window over everything for a region image."""
    rest: Role | None
    """The role of tissue outside the windows; None: it is not used."""
    annotations: Annotations
    """What a person marked, in level-0 pixels: right, but incomplete."""
    truth: Annotations | None
    """All cells, where that is known; for evaluation only."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What may group items that belong together: slide, patient, organ, site."""
    truth_windows: tuple[Window, ...] | None = None
    """The windows, all of them known ones, in which `truth` has all cells; None: everywhere."""
    noticed: Mapping[str, int] = field(default_factory=dict)
    """What was mended or is worth a look, as a phrase in the plural, and how often."""


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """One slide or image that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedRecord(RefusedItem):
    """One annotation that cannot be used; its slide or image may well be."""


class DatasetReader(Protocol):
    """A dataset on disk, in one of the formats that are read.

    One contract test holds for all of them: each slide or image is yielded once, accepted or
    refused by name; names are unique, the order does not depend on the file system, boxes lie
    inside their image, nothing outside the dataset's folder is read, a damaged file refuses only
    itself.
    """

    total: int
    """How many slides and images there are, accepted or not; known with the first that is
    yielded."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each image or slide, or why it was refused; nothing is dropped in silence."""
        ...
