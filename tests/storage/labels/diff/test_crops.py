import numpy as np
import pytest

from models.annotations import CellRecords
from models.geometry.tiles import Placement
from storage.labels.diff.cells import Change
from storage.labels.diff.compare import diff
from storage.labels.diff.crops import LARGEST_PX, SIDE_PX, telling_crops
from storage.labels.lineage import regions_behind
from storage.labels.store import LabelDraft, open_version
from storage.regions import open_regions


@pytest.fixture
def chain(versions):
    first = versions.ingest()
    one = versions.round(first)
    moved = ([64, 30, 84, 50], [8, 38, 28, 56])
    return first, one, versions.round(one, 2, found=moved), versions.round(one, 2, found=())


def kinds(outlines):
    return sorted((one.kind, one.is_subject) for one in outlines)


def test_a_crop_shows_all_cells_before_and_after(workspace, chain):
    (crop,) = telling_crops(diff(workspace, chain[0], chain[1]), None, 1)

    assert crop.kinds == Change.ADDED
    assert kinds(crop.before) == [("human", False)] * 2
    assert kinds(crop.after) == [("human", False)] * 2 + [("new", False), ("new", True)]
    assert crop.image is None


def test_what_is_gone_is_drawn_where_it_was(workspace, chain):
    crop = telling_crops(diff(workspace, chain[1], chain[3]), None, 1)[0]

    assert crop.kinds == Change.REMOVED
    assert ("gone", True) in kinds(crop.before)
    assert not [one for one in crop.after if one.kind == "gone"]


def test_a_moved_cell_is_the_subject_on_both_sides(workspace, chain):
    crops = telling_crops(diff(workspace, chain[1], chain[2]), None, 9)
    crop = next(one for one in crops if one.kinds & Change.MOVED)

    for outlines in (crop.before, crop.after):
        (subject,) = [one for one in outlines if one.is_subject]
        assert subject.kind == "changed"
    assert ("same", False) in kinds(crop.after)


def test_outlines_are_in_pixels_of_the_crop(workspace, versions, chain):
    (crop,) = telling_crops(diff(workspace, chain[0], chain[1]), None, 1)
    version = open_version(workspace, chain[1])
    records = version.records(versions.first)

    (subject,) = [one for one in crop.after if one.is_subject]
    working = subject.ring + crop.corner
    box = versions.placement.boxes_to_level0([*working.min(axis=0), *working.max(axis=0)])[0]
    assert box.tolist() in records.boxes.tolist()
    assert crop.side_px == SIDE_PX


@pytest.mark.parametrize(
    ("corner", "size", "side", "crop_corner"),
    [
        ((200, 300), 100, 150, (175, 275)),
        ((200, 300), 10, SIDE_PX, (141, 241)),
        ((200, 300), 900, LARGEST_PX, (394, 494)),
        # Moved inwards at the border of the region.
        ((3, 4), 10, SIDE_PX, (0, 0)),
        ((1180, 1290), 10, SIDE_PX, (1200 - SIDE_PX, 1300 - SIDE_PX)),
    ],
)
def test_a_crop_lies_around_its_cell_inside_the_region(
    workspace, table, corner, size, side, crop_corner
):
    (left, top), refs = corner, []
    for chain, boxes in (("a", {}), ("b", {1: [left, top, left + size, top + size]})):
        cells = np.zeros((1300, 1200), np.uint32)
        for cell, (x0, y0, x1, y1) in boxes.items():
            cells[y0:y1, x0:x1] = cell
        with LabelDraft(
            workspace, parent=None, chain=chain, round=0, stage="ingest", parameters={}
        ) as draft:
            classes = np.where(cells > 0, 2, 0).astype(np.uint8)
            draft.put("r", Placement(0, 0, 1.0), classes, cells, table(boxes), 2)
            refs.append(draft.commit())
    (crop,) = telling_crops(diff(workspace, refs[0], refs[1]), None, 1)

    assert (crop.side_px, crop.corner) == (side, crop_corner)
    # The ellipse of the box: its extremes are the middles of the box's sides.
    assert (crop.after[0].ring.min(axis=0) + crop.corner).tolist() == pytest.approx([left, top])


def test_a_crop_carries_the_tissue_it_shows(ground):
    version = open_version(ground.at, ground.annotated)
    behind = regions_behind(ground.at, version)
    assert behind is not None
    assert behind == ground.regions
    regions = open_regions(ground.at, behind)
    region_id = next(one for one in version.region_ids if len(version.records(one)))
    with LabelDraft(
        ground.at, parent=None, chain="empty", round=0, stage="ingest", parameters={}
    ) as draft:
        shape = version.classes(region_id).shape
        nobody = np.zeros(shape, np.uint8), np.zeros(shape, np.uint32), CellRecords.none()
        draft.put(region_id, version.placement(region_id), *nobody, 1)
        empty = draft.commit()
    crops = telling_crops(diff(ground.at, empty, ground.annotated), regions, 99)
    crop = next(one for one in crops if one.region == region_id)

    info = regions.info(region_id)
    x, y = crop.corner
    assert (x, y) == (0, 0)
    tissue = regions.read(region_id, 0, 0, info.height, info.width)
    assert crop.image is not None
    assert np.array_equal(crop.image[: info.height, : info.width], tissue)
    assert (crop.image[info.height :] == 235).all()


def test_progress_is_told_by_crop(workspace, chain):
    heard = []
    found = diff(workspace, chain[0], chain[1])
    telling_crops(found, None, 5, lambda done, total: heard.append((done, total)))

    assert heard[0][0] == 0
    assert len(heard) == heard[0][1]
