import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.annotations import CellRecords
from models.geometry.tiles import Placement
from storage.arrays import SHARD_PX
from storage.labels.diff.pixels import (
    CLASS_NAMES,
    ClassMatrix,
    PixelsByRegion,
    count_classes,
    count_pixels,
)
from storage.labels.store import LabelDraft, open_version

VALUES = [0, 1, 2, 255]
masks = arrays(np.uint8, (5, 7), elements=st.sampled_from(VALUES))
PLACE = Placement(0, 0, 1.0)


@given(masks, masks)
def test_pixels_are_counted_by_the_class_they_had_and_have(before, after):
    expected = [[int(((before == a) & (after == b)).sum()) for b in VALUES] for a in VALUES]

    assert count_classes(before, after).tolist() == expected


@pytest.fixture
def version(workspace):
    """Return a function that commits a region without cells, of background and ignored pixels."""

    def version(classes, chain="a", parent=None, keep=()):
        with LabelDraft(
            workspace, parent=parent and parent.info.ref, chain=chain, round=0,
            stage="ingest", parameters={},
        ) as draft:  # fmt: skip
            for region_id in keep:
                draft.keep(region_id)
            nobody = np.zeros(classes.shape, np.uint32), CellRecords.none()
            draft.put("r", PLACE, classes, *nobody, 1)
            return open_version(workspace, draft.commit())

    return version


def counted(before, after, n_parts=None):
    """Return the pixels of the region, None if it is not of one size."""
    parts = [count_pixels(part) for part in PixelsByRegion(before, after).of("r")]
    assert len(parts) == (n_parts or len(parts))
    total = ClassMatrix()
    for part in parts:
        if part is None:
            return None
        total.add(part)
    return total


@pytest.fixture
def tall():
    """Return background in two shards."""
    return np.zeros((SHARD_PX + 60, 50), np.uint8)


def test_shards_of_equal_content_are_not_decoded(version, tall):
    changed = tall.copy()
    changed[-10:, :5] = 255
    found = counted(version(tall), version(changed, "b"), n_parts=2)

    assert (found.n_equal, found.n_decoded) == (1, 1)
    assert found.equal_px == SHARD_PX * 50
    background, ignore = CLASS_NAMES.index("background"), CLASS_NAMES.index("ignore")
    assert found.matrix[background, ignore] == found.changed_px == 50
    assert found.matrix[background, background] == 60 * 50 - 50
    assert found.to_json()["decoded_px"] == 60 * 50


def test_a_shard_that_cannot_be_decoded_is_not_missed_where_it_is_equal(version, tall):
    before, after = version(tall), version(np.where(tall == 0, 0, 0).astype(np.uint8), "b")
    for one in (before, after):
        for shard in (one.folder / "r" / "classes" / "c").rglob("0"):
            if shard.is_file():
                shard.write_bytes(b"nothing that could be decoded")
    found = counted(before, after, n_parts=2)

    assert (found.n_equal, found.n_decoded, found.changed_px) == (2, 0, 0)


def test_a_shard_that_only_one_version_has_is_compared_with_the_fill_value(version):
    nothing, something = np.full((20, 30), 255, np.uint8), np.full((20, 30), 255, np.uint8)
    something[:3] = 0
    found = counted(version(nothing), version(something, "b"))

    assert found.matrix[3].tolist() == [90, 0, 0, 510]


def test_two_regions_that_were_never_drawn_are_equal(version):
    nothing = np.full((20, 30), 255, np.uint8)
    found = counted(version(nothing), version(nothing, "b"))

    assert (found.n_equal, found.equal_px) == (1, 600)


def test_regions_of_other_sizes_are_not_compared(version):
    wide, wider = (np.zeros((20, side), np.uint8) for side in (30, 31))

    assert counted(version(wide), version(wider, "b")) is None
