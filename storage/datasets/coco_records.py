"""The annotations of a COCO dataset: each with its image, boxes and outlines checked against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Annotations, Polygons
from models.errors import AnnotationError, WrongUseError
from storage.datasets.bounds import CUT, bounded
from storage.datasets.coco_shapes import boxes_of, outline_of
from storage.datasets.pixel_outlines import HOLES, PIECES
from storage.datasets.protocol import RefusedRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.datasets.coco_document import Document, ImageEntry
    from storage.datasets.coco_shapes import Record
    from storage.datasets.json_lists import Key

CUT_OUTLINES = "outlines cut at the image's border"
SCORED = "annotations with a score, as a network gives it, taken for a person's"


@dataclass(slots=True)
class Records:
    """The annotations of the wanted class by image."""

    by_image: dict[Key, list[Record]] = field(default_factory=dict)
    refused: list[RefusedRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Checked:
    """The annotations of one image."""

    annotations: Annotations
    refused: tuple[RefusedRecord, ...]
    noticed: Mapping[str, int]


def wanted_categories(document: Document, class_name: str | None) -> set[Key]:
    """Return the ids of the category of that name, of all categories without a name.

    Raises
    ------
    WrongUseError
        If no category has that name.
    """
    if class_name is None:
        return set(document.categories)
    wanted = {key for key, name in document.categories.items() if name == class_name}
    if not wanted:
        listed = ", ".join(sorted(document.categories.values())) or "none"
        raise WrongUseError(
            f"{document.path}: no category is called {class_name!r}; there are {listed}. "
            f"Choose one with --class, or leave it out to take all."
        )
    return wanted


def sort_records(document: Document, wanted: set[Key], images: Sequence[ImageEntry]) -> Records:
    """Return the annotations of the wanted categories on the wanted images.

    What names an unknown image or category, or an id that came before, is refused.
    """
    here = {image.key for image in images}
    records = Records()
    taken: set[str] = set()
    for record in document.records:
        reason = record.wrong or _homeless(record, document)
        if not reason and (record.category not in wanted or record.image not in here):
            continue
        if record.own_id and record.own_id not in taken:
            record.id = record.own_id
        if not reason and record.id in taken:
            reason = "its id came before; ids of annotations must be unique"
        if reason:
            records.refused.append(RefusedRecord(record.name, reason))
        elif record.image is not None:
            taken.add(record.id)
            records.by_image.setdefault(record.image, []).append(record)
    return records


def _homeless(record: Record, document: Document) -> str:
    if record.image not in document.keys:
        return f"its image_id {record.image!r:.60} is no image of the file"
    if record.category not in document.categories:
        return f"its category_id {record.category!r:.60} is no category of the file"
    return ""


def checked(records: Sequence[Record], file_name: str, size: tuple[int, int]) -> Checked:
    """Return the annotations of one image, and the records that contradict it.

    The records lose their outlines.

    Parameters
    ----------
    records
        Those of the image.
    file_name
        Of the image, for the messages.
    size
        Width and height of the image.
    """
    wrong = {record.id: record.flaw for record in records if record.flaw}
    good = [record for record in records if not record.flaw]
    inside = bounded(boxes_of(good), size)
    for row, reason in inside.wrong.items():
        wrong[good[row].id] = f"its bbox {reason}"
    kept: list[int] = []
    points, lengths = bytearray(), [0]
    noticed = {CUT: inside.n_cut, CUT_OUTLINES: 0, PIECES: 0, HOLES: 0, SCORED: 0}
    for row, record in enumerate(good):
        if row in inside.wrong:
            continue
        try:
            outline = outline_of(record, size)
        except AnnotationError as error:
            wrong[record.id] = str(error)
            continue
        kept.append(row)
        points += outline.ring.tobytes()
        lengths.append(len(outline.ring))
        record.ring = b""  # a file has hundreds of megabytes of them: never all of them twice
        noticed[CUT_OUTLINES] += outline.is_cut
        noticed[PIECES] += outline.n_pieces > 1
        noticed[HOLES] += outline.has_holes
        noticed[SCORED] += record.scored
    ids = np.array([good[row].id for row in kept], np.str_)
    rings = Polygons(np.frombuffer(points).reshape(-1, 2), np.cumsum(lengths))
    annotations = Annotations(ids, inside.boxes[kept], rings)
    refused = [RefusedRecord(f"{file_name}: annotation {record.id}", wrong[record.id])
               for record in records if record.id in wrong]  # fmt: skip
    return Checked(annotations, tuple(refused), {k: n for k, n in noticed.items() if n})
