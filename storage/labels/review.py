"""A person's corrections come back: reviewed GeoJSON becomes a new label version.

Cells are matched by their ids, never by where they lie, so the same file read twice changes nothing
the second time. What the person drew or moved is a person's cell from then on; what the person
deleted is gone; everything else stays as it was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from models.annotations import Origin
from models.errors import AnnotationError, NotFoundError
from models.geometry.settings import EllipseSettings
from storage.artefacts import hash_file
from storage.block_work import hired
from storage.datasets.drawn import Unusable
from storage.geojson import cell_name, id_of
from storage.geojson_objects import read_objects
from storage.geojson_stream import TooLarge, features
from storage.labels.export import cells_in
from storage.labels.export_regions import CLASSES, COMPLETE_CLASS, PLAIN_CLASS
from storage.labels.redrawing import Edits, Redrawing, redrawn
from storage.labels.store import LabelDraft, open_version
from storage.layout import Kind, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from models.runtime_settings import DaskSettings
    from storage.datasets.drawn import Drawn
    from storage.labels.export import ExportedCell
    from storage.labels.redrawing import Redrawn
    from storage.labels.store import LabelVersion
    from storage.layout import Workspace

SAME_PX = 0.05
"""Outlines that lie closer are the same: QuPath rounds to 0.01 px and keeps single precision."""
NOT_A_CELL = frozenset({"ignore*", "ignored", "ignore", "not a cell", "no cell"})
"""Classes by which a person says that something is no cell."""
_REGION_CLASSES = {*CLASSES.values(), COMPLETE_CLASS, PLAIN_CLASS}


@dataclass(slots=True)
class Review:
    """What a review changed, and what is to be looked at."""

    ref: Ref
    """The new version; the one that was reviewed where nothing was changed."""
    added: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    covered: int = 0
    """Found cells that gave all their pixels to what the person drew."""
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    """Cells that changed between the version that was exported and the one that was corrected."""
    left_out: list[dict[str, Any]] = field(default_factory=list)
    """Objects that could not be used, with the reason."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        said = {name: value for name, value in asdict(self).items() if name != "ref"}
        return {"version": self.ref.digest, **said}


@dataclass(frozen=True, slots=True)
class Request:
    """How a review is to be read."""

    reviewer: str
    onto: Ref | None = None
    """The version to correct; None: the one that was exported."""
    keep_missing: bool = False
    """Whether cells that are not in the file stay."""
    ellipses: EllipseSettings = field(default_factory=EllipseSettings)
    dask: DaskSettings | None = None
    """The cluster that draws the regions; without it threads do. The result is the same."""


def import_review(at: Workspace, files: Sequence[Path], request: Request) -> Review:
    """Commit a label version with what a person corrected.

    Raises
    ------
    AnnotationError
        If a file is damaged, or does not say which version it was exported from.
    NotFoundError
        If that version is not in the workspace.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    exported = _exported(at, files)
    onto = open_version(at, request.onto) if request.onto else exported
    review = Review(onto.info.ref)
    edits: dict[str, Edits] = {}
    for path in files:
        _read(path, exported, request, edits, review)
    edits = {name: one for name, one in edits.items() if one.drawn or one.moved or one.removed}
    _find_conflicts(exported, onto, edits, review)
    edits = {name: _still_new(onto, name, one) for name, one in edits.items()}
    edits = {name: one for name, one in edits.items() if one.drawn or one.moved or one.removed}
    if edits:
        review.ref = _committed(at, onto, edits, files, request, review)
    return review


def _exported(at: Workspace, files: Sequence[Path]) -> LabelVersion:
    """Return the version that the files were exported from."""
    found = {digest for path in files for digest in _versions(path)}
    if len(found) != 1:
        said = "none says" if not found else f"they name {len(found)}: {', '.join(sorted(found))}"
        raise AnnotationError(
            f"{', '.join(str(path) for path in files)}: expected one label version that they were "
            f"exported from, {said}. Give files of one 'signetflow labels export', reviewed in "
            f"QuPath and exported with their metadata; new slides: 'signetflow ingest geojson'."
        )
    return open_version(at, Ref(Kind.LABELS, found.pop()))


def _versions(path: Path) -> Iterator[str]:
    for one in features(path):
        properties = None if isinstance(one, TooLarge) else one.get("properties")
        metadata = properties.get("metadata") if isinstance(properties, dict) else None
        version = metadata.get("version") if isinstance(metadata, dict) else None
        if isinstance(version, str):
            yield version


def _key(chain: str, cell: ExportedCell) -> str:
    """Return the id by which a cell comes back."""
    if cell.origin == Origin.HUMAN and cell.annotation_id:
        return cell.annotation_id
    human = cell.origin == Origin.HUMAN
    return id_of(cell_name("" if human else chain, cell.region_id, cell.cell_id))


def _read(
    path: Path, exported: LabelVersion, request: Request, edits: dict[str, Edits], review: Review
) -> None:
    """Sort one file's objects into what is known, new and missing."""
    slide = path.name.removesuffix(".gz").removesuffix(".geojson")
    region_ids = [one for one in exported.region_ids if one.rpartition("@")[0] == slide]
    if not region_ids:
        raise NotFoundError(
            f"{path}: version {exported.info.digest[:8]} has no region of a slide {slide!r}. The "
            f"file keeps the name that the export gave it."
        )
    known = {
        _key(exported.info.chain, cell): cell
        for one in region_ids
        for cell in cells_in(exported, one)
    }
    seen: dict[str, Drawn] = {}
    for one in read_objects(path, slide):
        if isinstance(one, Unusable):
            if one.is_mark:
                _leave_out(review, path.name, one.id, one.reason)
        elif one.class_name not in _REGION_CLASSES:
            seen[one.id] = one
    for key, cell in known.items():
        _compare(cell, seen.pop(key, None), request, edits, review)
    for one in seen.values():
        _place(one, exported, region_ids, edits, review, path)


def _compare(
    cell: ExportedCell,
    found: Drawn | None,
    request: Request,
    edits: dict[str, Edits],
    review: Review,
) -> None:
    mine = edits.setdefault(cell.region_id, Edits())
    gone = found is None or found.class_name.lower() in NOT_A_CELL
    if gone and not (found is None and request.keep_missing):
        mine.removed.append(cell.cell_id)
    elif found is not None and len(found.parts) != 1:
        _leave_out(review, cell.region_id, found.id, f"it has {len(found.parts)} parts now")
    elif found is not None and not found.runs_along(cell.outline.ring, SAME_PX):
        mine.moved[cell.cell_id] = found
    else:
        review.unchanged += 1


def _place(
    one: Drawn,
    exported: LabelVersion,
    region_ids: list[str],
    edits: dict[str, Edits],
    review: Review,
    path: Path,
) -> None:
    """Give a new object to the region that its centre lies in."""
    if one.class_name.lower() in NOT_A_CELL or one.is_excluded:
        return
    if len(one.parts) != 1:
        _leave_out(review, path.name, one.id, f"it has {len(one.parts)} parts, a cell has one")
        return
    centre = (one.box[:2] + one.box[2:]) / 2
    for region_id in region_ids:
        height, width = exported.classes(region_id).shape
        x, y = exported.placement(region_id).to_working(centre[None])[0]
        if 0 <= x < width and 0 <= y < height:
            edits.setdefault(region_id, Edits()).drawn.append(one)
            return
    _leave_out(review, path.name, one.id, "its centre lies in no region of the version")


def _leave_out(review: Review, where: str, name: str, reason: str) -> None:
    review.left_out.append({"where": where, "object": name, "reason": reason})


def _find_conflicts(
    exported: LabelVersion, onto: LabelVersion, edits: dict[str, Edits], review: Review
) -> None:
    """List what a person corrected and somebody else changed meanwhile; the person wins."""
    if exported.info.digest == onto.info.digest:
        return
    for region_id, one in edits.items():
        if region_id not in onto.entries:
            raise NotFoundError(f"version {onto.info.digest[:8]} has no region {region_id}.")
        before, after = _boxes(exported, region_id), _boxes(onto, region_id)
        for cell_id in [*one.moved, *one.removed]:
            if after.get(cell_id) != before[cell_id]:
                what = "is gone" if cell_id not in after else "has moved"
                review.conflicts.append({"region": region_id, "cell": cell_id, "what": what})


def _boxes(version: LabelVersion, region_id: str) -> dict[int, list[float]]:
    records = version.records(region_id)
    return dict(zip(records.cell_ids.tolist(), records.boxes.tolist(), strict=True))


def _still_new(onto: LabelVersion, region_id: str, one: Edits) -> Edits:
    """Return the edits that the version does not hold yet: a file may be read twice."""
    records = onto.records(region_id)
    row = {cell: number for number, cell in enumerate(records.cell_ids.tolist())}
    drawn_before = set(records.annotation_ids[records.is_human].tolist())
    moved = {
        cell: found
        for cell, found in one.moved.items()
        if cell not in row or not found.runs_along(records.polygons[row[cell]], SAME_PX)
    }
    return Edits(
        [found for found in one.drawn if found.id not in drawn_before],
        moved,
        [cell for cell in one.removed if cell in row],
    )


def _committed(
    at: Workspace,
    onto: LabelVersion,
    edits: dict[str, Edits],
    files: Sequence[Path],
    request: Request,
    review: Review,
) -> Ref:
    parameters = {
        "reviewer": request.reviewer,
        "files": {path.name: hash_file(path) for path in files},
        "ellipses": request.ellipses.model_dump(mode="json"),
    }
    info = onto.info
    with (
        LabelDraft(
            at, parent=info.ref, chain=info.chain, round=info.round, stage="import",
            parameters=parameters,
        ) as draft,
        hired(request.dask) as workers,
    ):  # fmt: skip
        for region_id in onto.region_ids:
            if region_id not in edits:
                draft.keep(region_id)
        jobs = (
            Redrawing(draft.site(name), onto.region(name), edits[name], request.ellipses)
            for name in onto.region_ids
            if name in edits
        )
        for job, done in workers.each(redrawn, jobs):
            draft.take(done.written)
            _count(job, done, review)
        return draft.commit()


def _count(job: Redrawing, done: Redrawn, review: Review) -> None:
    following = job.region.entry.next_cell_id
    for name in done.hidden:
        review.left_out.append(
            {
                "region": job.region.region_id,
                "object": name,
                "reason": "it lies in another person's cell",
            }
        )
    review.added += sum(cell >= following for cell in done.drawn)
    review.moved += sum(cell < following for cell in done.drawn)
    review.removed += len(job.edits.removed)
    review.covered += done.n_covered
