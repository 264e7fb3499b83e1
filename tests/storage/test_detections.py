import numpy as np
import pytest

from models.annotations import Detections, Polygons
from models.errors import IntegrityError
from storage.detections import FoundMasks, detection_draft, open_detections
from storage.layout import Kind, Workspace

FACTS = {"checkpoint": "c" * 32}


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


def cells(n_cells, offset=0.0):
    boxes = np.arange(n_cells * 4, dtype=np.float64).reshape(-1, 4) + offset
    rings = [np.arange(2 * (3 + row), dtype=np.float64).reshape(-1, 2) for row in range(n_cells)]
    return Detections(boxes, np.linspace(0.2, 0.9, n_cells), Polygons.of_rings(rings))


def masks(height=40, width=30):
    classes = (np.arange(height * width, dtype=np.uint8) % 3).reshape(height, width)
    return FoundMasks(classes, np.where(classes == 2, 200, 0).astype(np.uint8))


def stored(at, found):
    with detection_draft(at, FACTS) as (draft, artefact):
        for region_id, (one, mask) in found.items():
            draft.put(region_id, one, mask)
    return artefact.ref


def test_detections_and_masks_of_every_region_come_back(at):
    ref = stored(at, {"a.b@0,0": (cells(3), masks()), "a.b@0,512": (cells(2, 7.0), masks(5, 6))})
    found = open_detections(at, ref)
    assert found.regions == {"a.b@0,0": 3, "a.b@0,512": 2}
    assert found.facts == FACTS
    one = found.detections("a.b@0,512")
    np.testing.assert_array_equal(one.boxes, cells(2, 7.0).boxes)
    np.testing.assert_array_equal(one.scores, cells(2).scores)
    np.testing.assert_array_equal(one.polygons[1], cells(2).polygons[1])
    np.testing.assert_array_equal(found.masks("a.b@0,0").classes, masks().classes)
    np.testing.assert_array_equal(found.masks("a.b@0,0").inner, masks().inner)


def test_a_region_in_which_nothing_was_found_was_looked_at_all_the_same(at):
    found = open_detections(at, stored(at, {"r@0,0": (Detections.none(), None)}))
    assert found.regions == {"r@0,0": 0}
    assert len(found.detections("r@0,0")) == 0


def test_equal_detections_are_one_artefact_and_others_are_not(at):
    first = stored(at, {"r@0,0": (cells(3), masks())})
    assert stored(at, {"r@0,0": (cells(3), masks())}) == first
    assert stored(at, {"r@0,0": (cells(3, 1.0), masks())}) != first
    assert stored(at, {"r@0,0": (cells(3), None)}) != first


def test_an_error_between_two_regions_leaves_nothing(at):
    def fail():
        with detection_draft(at, FACTS) as (draft, _):
            draft.put("r@0,0", cells(1), None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list((at.root / Kind.DETECTIONS).iterdir()) == []


def test_altered_detections_are_refused(at):
    ref = stored(at, {"r@0,0": (cells(3), None)})
    path = next(at.path(ref).rglob("scores.npy"))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(IntegrityError, match=r"scores\.npy"):
        open_detections(at, ref)


def test_an_array_of_objects_is_never_unpickled(at):
    ref = stored(at, {"r@0,0": (cells(3), None)})
    found = open_detections(at, ref)
    np.save(next(at.path(ref).rglob("scores.npy")), np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        found.detections("r@0,0")
