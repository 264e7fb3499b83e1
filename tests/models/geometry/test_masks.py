import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import PixelClass
from models.geometry.boxes import overlaps
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings

ELLIPSE = EllipseSettings()


def boxes(*rows):
    return np.array(rows, np.float64).reshape(-1, 4)


@st.composite
def scenes(draw, most=12, side=48):
    """Boxes of any overlap that reach into a mask."""
    n = draw(st.integers(1, most))
    corner = st.floats(-6, side - 1, allow_nan=False)
    length = st.floats(7, 30, allow_nan=False)
    rows = [(draw(corner), draw(corner), draw(length), draw(length)) for _ in range(n)]
    return boxes(*[(x, y, x + w, y + h) for x, y, w, h in rows]), (side, side + 9)


def inner_alone(box, shape):
    return np.count_nonzero(rasterise(box[None], shape, ELLIPSE)[0] == PixelClass.INNER)


def test_a_lone_box_becomes_the_inscribed_ellipse_with_a_band_inside_it():
    classes, cells = rasterise(boxes([10, 20, 50, 50]), (80, 80), ELLIPSE)

    y, x = np.nonzero(cells)
    assert (x.min(), x.max() + 1, y.min(), y.max() + 1) == (10, 50, 20, 50)
    assert np.count_nonzero(cells) == pytest.approx(np.pi * 20 * 15, rel=0.01)
    # The band is max(2, 0.08 * 30) = 2.4 px wide.
    inner = np.count_nonzero(classes == PixelClass.INNER)
    assert inner == pytest.approx(np.pi * 17.6 * 12.6, rel=0.015)
    assert classes[35, 10] == classes[20, 30] == PixelClass.EDGE
    assert classes[35, 30] == PixelClass.INNER


def test_no_boxes_give_an_empty_mask():
    classes, cells = rasterise(boxes(), (4, 7), ELLIPSE)

    assert classes.shape == cells.shape == (4, 7)
    assert classes.dtype == np.uint8
    assert cells.dtype == np.uint32
    assert not classes.any()
    assert not cells.any()


@pytest.mark.parametrize("side", [0.4, 1, 2, 3.5, 5, 7.9])
def test_a_tiny_box_keeps_an_inner_pixel(side):
    classes, _ = rasterise(boxes([3.2, 4.1, 3.2 + side, 4.1 + side]), (20, 20), ELLIPSE)

    assert np.count_nonzero(classes == PixelClass.INNER) >= 1


def test_a_pixel_between_two_cells_goes_to_the_deeper_one():
    _, cells = rasterise(boxes([0, 0, 30, 30], [20, 0, 50, 30]), (30, 50), ELLIPSE)

    assert cells[15, 24] == 1
    assert cells[15, 25] == 2


def test_touching_cells_are_parted_by_edge_on_both_sides():
    # Without a band of their own, all edge comes from the contact.
    flat = EllipseSettings(edge_fraction=0, minimum_edge_px=0)
    classes, cells = rasterise(boxes([0, 0, 30, 30], [20, 0, 50, 30]), (30, 50), flat)

    assert (classes[15, 24], classes[15, 25]) == (PixelClass.EDGE, PixelClass.EDGE)
    assert (classes[15, 23], classes[15, 26]) == (PixelClass.INNER, PixelClass.INNER)
    assert np.count_nonzero(classes[:, 40] == PixelClass.EDGE) == 0
    assert (cells[15, 24], cells[15, 25]) == (1, 2)


def test_a_small_cell_in_the_middle_of_a_large_one_gets_its_half():
    both = boxes([0, 0, 60, 60], [22, 22, 38, 38])
    classes, cells = rasterise(both, (60, 60), ELLIPSE)

    inner = (cells == 2) & (classes == PixelClass.INNER)
    assert np.count_nonzero(inner) >= inner_alone(both[1], (60, 60)) / 2
    assert inner[30, 30]


def test_two_boxes_in_one_place_share_it():
    classes, cells = rasterise(boxes(*[[5, 5, 25, 25]] * 2), (30, 30), ELLIPSE)

    inner = classes == PixelClass.INNER
    first, second = (np.count_nonzero(inner & (cells == row)) for row in (1, 2))
    assert abs(first - second) <= 1


@pytest.mark.parametrize("n_cells", [9, 120])
def test_more_cells_than_room_all_stay_present(n_cells):
    classes, cells = rasterise(boxes(*[[3, 3, 6, 6]] * n_cells), (12, 12), ELLIPSE)

    assert set(cells[classes == PixelClass.INNER]) == set(range(1, n_cells + 1))


def test_more_cells_than_pixels_are_refused():
    with pytest.raises(ValueError, match="5 boxes do not fit a mask of 2 x 2 pixels"):
        rasterise(boxes(*[[0, 0, 2, 2]] * 5), (2, 2), ELLIPSE)


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_every_cell_is_present_and_masks_agree(scene):
    rows, shape = scene
    reaching = (rows[:, 2:] > 0).all(axis=1)
    rows = rows[reaching]
    classes, cells = rasterise(rows, shape, ELLIPSE)

    assert set(np.unique(cells[cells > 0])) == set(range(1, len(rows) + 1))
    assert np.array_equal(classes == PixelClass.BACKGROUND, cells == 0)
    for row in range(1, len(rows) + 1):
        assert (classes[cells == row] == PixelClass.INNER).any()


@given(scenes(most=5))
@settings(max_examples=80, deadline=None)
def test_cells_that_overlap_moderately_keep_half_and_stay_apart(scene):
    rows, shape = scene
    kept: list[int] = []
    for row in range(len(rows)):
        clear = len(overlaps(rows[[row]], rows[kept], 0.2).rows) == 0
        if (
            clear
            and (rows[row, 2:] > 8).all()
            and (rows[row, :2] < np.array(shape[::-1]) - 8).all()
        ):
            kept.append(row)
    rows = rows[kept]
    classes, cells = rasterise(rows, shape, ELLIPSE)

    inner = np.where(classes == PixelClass.INNER, cells, 0)
    for row, box in enumerate(rows):
        assert np.count_nonzero(inner == row + 1) >= inner_alone(box, shape) / 2
    for a, b in ((inner[1:], inner[:-1]), (inner[:, 1:], inner[:, :-1])):
        assert not ((a != b) & (a > 0) & (b > 0)).any()


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([5, 5, 5, 9], "has no area"),
        ([9, 5, 5, 9], "has no area"),
        ([-9, 0, 0, 5], "is outside"),
        ([20, 0, 25, 5], "is outside"),
    ],
)
def test_a_box_that_cannot_be_drawn_is_named(box, reason):
    with pytest.raises(ValueError, match=f"box 1 .* {reason}"):
        rasterise(boxes([0, 0, 5, 5], box), (20, 20), ELLIPSE)
