import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from models.errors import AnnotationError
from storage.datasets.run_lengths import crop_of, unpacked

MASKS = arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def packed(mask):
    """Return pycocotools' text for a mask, and the run lengths counted by hand."""
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    return text, np.diff([0, *changes, len(flat)]).tolist()


@settings(deadline=None)
@given(MASKS)
def test_text_of_pycocotools_is_unpacked(mask):
    text, counts = packed(mask)
    assert unpacked(text).tolist() == counts


@pytest.mark.parametrize("shape", [(3000, 4000), (1, 70_000)])
def test_long_runs_are_unpacked(shape):
    mask = np.zeros(shape, bool)
    mask[shape[0] // 2, 10:-10] = True
    text, counts = packed(mask)
    assert unpacked(text).tolist() == counts


@settings(deadline=None)
@given(MASKS.filter(lambda mask: mask.any()))
def test_the_crop_holds_exactly_the_pixels(mask):
    found = crop_of(np.array(packed(mask)[1]), mask.shape[::-1])
    whole = np.zeros_like(mask)
    height, width = found.mask.shape
    whole[found.y0 : found.y0 + height, found.x0 : found.x0 + width] = found.mask
    assert (whole == mask).all()
    assert found.mask[[0, -1]].any(axis=1).all()
    assert found.mask[:, [0, -1]].any(axis=0).all()


def test_runs_of_no_length_change_nothing():
    found = crop_of(np.array([0, 0, 3, 0, 0, 2, 7, 0]), (4, 3))
    assert (found.x0, found.y0, found.mask.tolist()) == (1, 0, [[True], [True]])


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([], "make 0 pixels, the image of 4 x 3 px has 12"),
        ([5, 6], "make 11 pixels"),
        ([5, 8], "make 13 pixels"),
        ([-1, 13], "no length"),
        ([2**40, 13], "no length"),
        ([12], "set no pixel"),
        ([6, 0, 6], "set no pixel"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(counts, reason):
    with pytest.raises(AnnotationError, match=reason):
        crop_of(np.array(counts, np.int64), (4, 3))


@pytest.mark.parametrize("text", ["", "å", "\n", "!", "p", "0p", "oooooooooo0", "P" * 9])
def test_text_that_packs_nothing_is_refused(text):
    with pytest.raises(AnnotationError, match="its run lengths are"):
        unpacked(text)


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_no_text_does_anything_worse_than_being_refused(text):
    with contextlib.suppress(AnnotationError):
        crop_of(unpacked(text), (5, 5))
