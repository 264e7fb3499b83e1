from dataclasses import dataclass

import numpy as np
import pytest

from models.annotations import Annotations, CellRecords, Origin, Polygons, Ragged
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Placement
from models.merging.records import Provenance, human_records, next_records
from models.merging.relabel import Previous, relabel
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells
from storage.labels.store import LabelDraft, open_version
from storage.layout import Kind, Ref, Workspace


def draw(rows, shape):
    return rasterise(np.array(rows, float).reshape(-1, 4), shape, EllipseSettings())


@dataclass
class Versions:
    """Writes small label versions: one ingest, and rounds that relabel its first region."""

    at: Workspace
    shape = (60, 90)
    placement = Placement(100, 200, 2.0)
    first = "slide.a@0,0"
    drawn = {  # noqa: RUF012  # never changed
        "slide.a@0,0": [[10, 10, 30, 34], [28, 12, 50, 30]],
        "slide.a@0,512": [[5, 5, 25, 25]],
        "empty": [],
    }
    found = ([60, 30, 80, 50], [8, 38, 28, 56])

    def annotations(self, region_id):
        rows = np.array(self.drawn[region_id], float).reshape(-1, 4)
        ids = np.array([f"{region_id}#{row}" for row in range(len(rows))], np.str_)
        return Annotations(ids, self.placement.boxes_to_level0(rows), Polygons.none(len(rows)))

    def drawn_labels(self, region_id):
        """Return what `put` takes for a region as a person drew it."""
        marked = self.annotations(region_id)
        classes, cells = draw(self.drawn[region_id], self.shape)
        return self.placement, classes, cells, human_records(marked), len(marked) + 1

    def next_labels(self, parent, round_number=1, found=found):
        """Return what `put` takes for the first region after a network looked at it."""
        version = open_version(self.at, parent)
        source = open_version(self.at, Ref(Kind.LABELS, version.info.human_source))
        records = version.records(self.first)
        human = HumanCells.select(
            np.asarray(source.classes(self.first)[:]),
            np.asarray(source.cells(self.first)[:]),
            records.cell_ids[records.is_human],
        )
        cells = np.asarray(version.cells(self.first)[:])
        previous = Previous(cells, version.next_cell_id(self.first))
        predicted, _ = draw(found, self.shape)
        inner = (predicted == 2) * np.float32(0.75)
        result = relabel(predicted, inner, human, previous, MergeSettings())
        by = Provenance(round_number, "self", f"checkpoint-{round_number}")
        after = next_records(result, records, self.placement, by)
        return self.placement, result.classes, result.cells, after, result.next_cell_id

    def draft(self, parent, round_number=1, chain="run-0", stage="self", **parameters):
        return LabelDraft(
            self.at, parent=parent, chain=chain, round=round_number, stage=stage,
            parameters=parameters,
        )  # fmt: skip

    def ingest(self, chain="annotations", **parameters):
        with self.draft(None, 0, chain, "ingest", **parameters) as draft:
            for region_id in self.drawn:
                draft.put(region_id, *self.drawn_labels(region_id))
            return draft.commit()

    def round(self, parent, round_number=1, found=found, **names):
        with self.draft(parent, round_number, **names) as draft:
            draft.put(self.first, *self.next_labels(parent, round_number, found))
            for region_id in list(self.drawn)[1:]:
                draft.keep(region_id)
            return draft.commit()


def one_row(at, cells, parent=None, human=(), stage="self"):
    """Commit a version of one region "r" of one row of pixels, each cell a single one.

    `cells` has for each id the column of its pixel and its parents.
    """
    ids = np.array(sorted(cells), np.uint32)
    pixels = np.zeros((1, 60), np.uint32)
    for cell, (column, _) in cells.items():
        pixels[0, column] = cell
    n, columns = len(ids), np.array([cells[int(one)][0] for one in ids], float)
    is_human = np.isin(ids, human)
    text, whole = np.zeros(n, "<U1"), np.zeros(n, np.int32)
    records = CellRecords(
        ids, np.stack([columns, 0 * columns, columns + 1, 0 * columns + 1], axis=1),
        Polygons.none(n), np.where(is_human, np.nan, 0.5),
        np.where(is_human, Origin.HUMAN, Origin.PSEUDO).astype(np.uint8),
        np.where(is_human, "drawn", ""), whole, text, text, whole,
        Ragged.of([np.array(cells[int(one)][1], np.uint32) for one in ids], ids[:0]),
    )  # fmt: skip
    classes = np.where(pixels > 0, 2, 0).astype(np.uint8)
    following = open_version(at, parent).next_cell_id("r") if parent else 1
    following = max([following, *(cell + 1 for cell in cells)])
    with LabelDraft(at, parent=parent, chain="c", round=0, stage=stage, parameters={}) as draft:
        draft.put("r", Placement(0, 0, 1.0), classes, pixels, records, following)
        return draft.commit()


@pytest.fixture
def row(workspace):
    """Return `one_row` for the workspace of the test."""
    return lambda *words, **named: one_row(workspace, *words, **named)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def versions(workspace):
    return Versions(workspace)
