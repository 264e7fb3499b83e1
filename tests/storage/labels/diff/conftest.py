import numpy as np
import pytest

from models.annotations import CellRecords, Origin, Polygons, Ragged


@pytest.fixture(scope="session")
def table():
    """Return a function that makes records of boxes by cell id."""

    def table(boxes, scores=None, human=(), parents=None, rings=None):
        ids = sorted(boxes)
        scores, parents, rings = scores or {}, parents or {}, rings or {}
        drawn = [cell in human for cell in ids]
        nobody = np.zeros((0, 2))
        return CellRecords(
            cell_ids=np.array(ids, np.uint32),
            boxes=np.array([boxes[cell] for cell in ids], float).reshape(-1, 4),
            polygons=Polygons.of_rings([np.array(rings.get(c, nobody), float) for c in ids]),
            scores=np.array([np.nan if cell in human else scores.get(cell, 0.5) for cell in ids]),
            origins=np.where(drawn, Origin.HUMAN, Origin.PSEUDO).astype(np.uint8),
            annotation_ids=np.array([f"#{c}" if c in human else "" for c in ids], np.str_),
            rounds=np.zeros(len(ids), np.int32),
            stages=np.array(["self"] * len(ids), np.str_),
            checkpoints=np.array([""] * len(ids), np.str_),
            votes=np.zeros(len(ids), np.int32),
            parents=Ragged.of(
                [np.array(parents.get(cell, []), np.uint32) for cell in ids],
                np.zeros(0, np.uint32),
            ),
        )

    return table
