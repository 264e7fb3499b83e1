import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.geometry.rings import is_simple, ring_area
from storage.datasets.pixel_outlines import pixel_outline


def mask(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def inside(ring, shape):
    """Return which pixels have their centre in a ring, by counting crossings to the left."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    crossings = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if x0 == x1:
            crossings += (x0 < x) & (min(y0, y1) < y) & (y < max(y0, y1))
    return crossings % 2 == 1


def filled(piece):
    """Return a mask with the holes that do not touch its outside, which goes round no corner."""
    padded = np.pad(~piece, 1, constant_values=True).astype(np.uint8)
    _, labels = cv2.connectedComponents(padded, connectivity=4)
    return (labels != labels[0, 0])[1:-1, 1:-1]


def test_one_pixel_is_a_square():
    ring, n_pieces, has_holes, share = pixel_outline(mask("...", ".#."))
    assert sorted(map(tuple, ring.tolist())) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert (n_pieces, has_holes, share) == (1, False, 1)


def test_a_corner_is_kept_and_a_straight_side_has_no_points_between():
    ring, *_ = pixel_outline(mask("##", "#.", "#."))
    assert {tuple(point) for point in ring.tolist()} == {
        (0, 0), (2, 0), (2, 1), (1, 1), (1, 3), (0, 3),
    }  # fmt: skip
    assert len(ring) == 6


def test_of_several_pieces_the_largest_is_outlined():
    ring, n_pieces, _, share = pixel_outline(mask("#..", "...", "##."))
    assert (ring_area(ring), n_pieces) == (2, 2)
    assert share == pytest.approx(2 / 3)


def test_pixels_that_touch_at_a_corner_are_two_pieces():
    ring, n_pieces, *_ = pixel_outline(mask("#..", ".##"))
    assert (ring_area(ring), n_pieces) == (2, 2)


@pytest.mark.parametrize(
    "ring_of_pixels",
    [mask("###", "#.#", "###"), mask(".##", "#.#", "###"), mask("###", "#.#", "##.")],
)
def test_a_hole_is_filled_also_where_it_is_open_at_a_corner(ring_of_pixels):
    found = pixel_outline(ring_of_pixels)
    assert is_simple(found.ring)
    assert found.has_holes
    assert (inside(found.ring, (3, 3)) == filled(ring_of_pixels)).all()


@settings(deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(lambda a: a.any()))
def test_the_outline_encloses_exactly_the_pixels_of_the_largest_piece(pixels):
    found = pixel_outline(pixels)
    n_labels, labels = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=4)
    pieces = [labels == label for label in range(1, n_labels)]
    largest = max(piece.sum() for piece in pieces)
    assert is_simple(found.ring)
    assert found.n_pieces == len(pieces)
    covered = inside(found.ring, pixels.shape)
    assert ring_area(found.ring) == covered.sum()
    [piece] = [one for one in pieces if one.sum() == largest and (filled(one) == covered).all()]
    assert found.has_holes == (covered.sum() > piece.sum())
