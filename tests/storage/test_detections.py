import uuid

import numpy as np
import pytest

from models.annotations import Detections, Polygons
from models.errors import IntegrityError
from storage.detections import DetectionDraft, FoundMasks, open_detections
from storage.layout import Kind, Workspace
from storage.parts import Parts

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


def parts_of(at, attempt="parts", **words):
    return Parts(at.root / attempt, **words)


def stored(at, found):
    draft = DetectionDraft(at, parts_of(at, f"parts-{uuid.uuid4().hex}"))
    for region_id, (one, mask) in found.items():
        draft.put(region_id, one, mask)
    return draft.commit(FACTS)


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


def test_regions_that_a_killed_process_left_end_in_the_same_bytes(at):
    found = {f"r{n}@0,0": (cells(n, n), masks()) for n in range(4)}
    undisturbed = stored(at, found)
    killed = DetectionDraft(at, parts_of(at, seal_every_s=0))
    for region_id in ("r0@0,0", "r1@0,0"):
        killed.put(region_id, *found[region_id])
    resumed = DetectionDraft(at, parts_of(at))
    assert [name for name in found if resumed.keep(name)] == ["r0@0,0", "r1@0,0"]
    for region_id in ("r2@0,0", "r3@0,0"):
        resumed.put(region_id, *found[region_id])
    assert resumed.commit(FACTS) == undisturbed


def test_nothing_is_visible_before_the_last_region(at):
    draft = DetectionDraft(at, parts_of(at))
    draft.put("r@0,0", cells(1), None)
    assert not (at.root / Kind.DETECTIONS).exists()
    ref = draft.commit(FACTS)
    assert [path.name for path in (at.root / Kind.DETECTIONS).iterdir()] == [ref.digest]


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
