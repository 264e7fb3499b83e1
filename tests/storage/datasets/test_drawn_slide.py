import numpy as np
import pytest

from models.annotations import Role
from models.errors import AnnotationError
from models.geometry.tiles import Window
from storage.datasets.drawn import Drawn, Unusable
from storage.datasets.drawn_slide import NOT_COMPLETE, OUTSIDE, Known, Wanted, known_of

SIZE = (1000, 800)


def box(name, x0, y0, side=10, class_name="SRC", height=None, **how):
    ring = np.array([[x0, y0], [x0 + side, y0], [x0 + side, y0 + (height or side)],
                     [x0, y0 + (height or side)]], float)  # fmt: skip
    return Drawn(name, class_name, how.pop("label", ""), (ring,), **how)


def region(name, class_name, x0=0, y0=0, side=200):
    return box(name, x0, y0, side, class_name)


def known(*objects, **wanted) -> Known:
    return known_of(objects, "a.geojson", SIZE, Wanted(**wanted))


def test_cells_belong_to_the_regions_in_which_their_centres_lie():
    found = known(
        box("in", 10, 10), box("across", 196, 10, 10), box("half", 194, 50, 10),
        region("r", "annotated"), region("s", "completely annotated", 200),
    )  # fmt: skip
    assert found.cells.ids.tolist() == ["in", "across", "half"]
    assert [one.window for one in found.regions] == [
        Window(0, 0, 200, 200), Window(200, 0, 400, 200),
    ]  # fmt: skip
    assert found.truth is not None
    assert found.truth.ids.tolist() == ["across"]
    assert found.truth_windows == (Window(200, 0, 400, 200),)
    assert (found.refused, dict(found.noticed)) == ((), {})


def test_cells_outside_every_annotated_region_are_told_and_not_used():
    found = known(region("r", "annotated"), region("u", "unlabelled", 300),
                  box("in", 10, 10), box("out", 600, 600), box("here", 310, 10))  # fmt: skip
    assert found.cells.ids.tolist() == ["in"]
    assert found.noticed == {OUTSIDE: 2}


def test_without_a_complete_region_nothing_is_truth():
    found = known(region("r", "annotated"), region("n", "negative", 300), box("in", 10, 10))
    assert found.truth is None
    assert found.truth_windows == (Window(300, 0, 500, 200),)


def test_where_there_is_nothing_but_negative_regions_the_truth_is_empty():
    found = known(region("n", "negative"))
    assert found.truth is not None
    assert len(found.truth) == 0


def test_one_class_can_be_asked_for():
    objects = region("r", "annotated"), box("a", 10, 10), box("b", 30, 10, class_name="Lymphocyte")
    assert known(*objects).cells.ids.tolist() == ["a", "b"]
    only = known(*objects, class_names=("SRC",))
    assert only.cells.ids.tolist() == ["a"]
    assert (only.refused, dict(only.noticed)) == ((), {})
    assert only.classes == {"SRC": 1, "Lymphocyte": 1}


def test_classes_that_qupath_leaves_out_of_measurements_are_no_cells():
    found = known(region("r", "annotated"), box("a", 10, 10, class_name="Ignore*"))
    assert (len(found.cells), dict(found.noticed)) == (0, {})


def test_objects_without_a_class_are_cells_only_when_asked_for():
    objects = region("r", "completely annotated"), box("a", 10, 10, class_name="")
    without = known(*objects)
    assert len(without.cells) == 0
    assert without.noticed["objects without a class, not used (--class '' takes them)"] == 1
    assert without.truth is None  # one of them may be a cell
    assert known(*objects, class_names=("",)).cells.ids.tolist() == ["a"]
    assert known(*objects, unclassified=True).cells.ids.tolist() == ["a"]


def test_what_a_program_found_is_no_persons_mark_unless_asked_for():
    objects = region("r", "completely annotated"), box("a", 10, 10, by_program=True)
    without = known(*objects)
    assert len(without.cells) == 0
    assert without.noticed == {"objects that a program found, not used (see --detections)": 1}
    assert without.truth is not None
    assert known(*objects, by_program=True).cells.ids.tolist() == ["a"]


def test_a_program_draws_no_regions():
    with pytest.raises(AnnotationError, match="no region is drawn"):
        known(Drawn("r", "annotated", "", region("r", "annotated").parts, by_program=True))


def test_an_id_that_comes_twice_is_refused_the_second_time():
    found = known(region("r", "annotated"), box("a", 10, 10), box("a", 50, 50))
    assert found.cells.boxes.tolist() == [[10, 10, 20, 20]]
    assert [one.name for one in found.refused] == ["a.geojson: a"]
    assert "its id came before" in found.refused[0].reason


def test_a_cell_that_cannot_be_used_is_refused_by_its_id():
    two = Drawn("two", "SRC", "", (*box("", 10, 10).parts, *box("", 40, 10).parts))
    lost = Unusable("lost", "SRC", "", "its outline has 2 points, expected at least 3")
    found = known(region("r", "annotated"), two, lost, box("a", 90, 90))
    assert [one.name for one in found.refused] == ["a.geojson: two", "a.geojson: lost"]
    assert found.cells.ids.tolist() == ["a"]


def test_what_marks_no_cell_is_counted_only():
    found = known(
        region("r", "completely annotated"), Unusable("p", "", "", "a Point", is_mark=False),
        Unusable("x", "Stroma", "", "it has no geometry"), class_names=("SRC",),
    )  # fmt: skip
    assert found.noticed == {"objects that mark no cell and cannot be used": 2}
    assert (found.refused, found.truth_windows) == ((), (Window(0, 0, 200, 200),))


@pytest.mark.parametrize(
    ("doubt", "complete"),
    [
        (Unusable("lost", "SRC", "", "it has no geometry"), []),
        (Unusable("lost", "", "", "it has more than 100000 points"), []),
        (Drawn("two", "SRC", "", (*box("", 10, 10).parts, *box("", 40, 10).parts)), ["s"]),
        (box("out", 10, 10, is_excluded=True), ["s"]),
        (box("twice", 40, 40), ["s"]),
        (Drawn("off", "SRC", "", (*box("", 700, 9).parts, *box("", 740, 9).parts)), ["r", "s"]),
    ],
)  # fmt: skip
def test_a_region_is_complete_only_if_all_that_may_be_a_cell_in_it_can_be_used(doubt, complete):
    found = known(
        region("r", "completely annotated"), region("s", "completely annotated", 300),
        box("twice", 320, 10), doubt,
    )  # fmt: skip
    assert [one.id for one in found.regions if one.statement == "complete"] == complete
    assert found.noticed.get(NOT_COMPLETE, 0) == 2 - len(complete)
    assert len(found.truth_windows) == len(complete)


def test_of_two_regions_that_overlap_the_first_stays():
    found = known(
        region("r", "annotated"), region("s", "negative", 199), region("t", "negative", 200)
    )
    assert [one.id for one in found.regions] == ["r", "t"]
    assert "the negative region overlaps the annotated region r" in found.refused[0].reason


def test_a_region_of_another_shape_is_told():
    ring = np.array([[0, 100], [100, 0], [200, 100], [100, 200]], float)
    found = known(Drawn("r", "annotated", "", (ring,)), box("a", 5, 5))
    assert found.cells.ids.tolist() == ["a"]
    assert found.noticed == {"annotated regions taken as the rectangle around their outline": 1}


def test_flaws_of_outlines_are_counted():
    bow = Drawn("bow", "SRC", "", (np.array([[10.0, 10], [20, 20], [20, 10], [10, 20]]),))
    found = known(region("r", "completely annotated"), bow)
    assert found.cells.boxes.tolist() == [[10, 10, 20, 20]]
    assert len(found.cells.polygons[0]) == 0
    assert found.noticed == {"outlines that cross or touch themselves, only their boxes used": 1}
    assert found.truth is not None  # the box is known


def test_a_slide_on_which_no_region_is_drawn_is_refused_with_what_to_do():
    with pytest.raises(AnnotationError, match=r"beside 1 cells.*'annotated'.*--role"):
        known(box("a", 10, 10))


@pytest.mark.parametrize("role", [None, Role.POSITIVE])
@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (region("r", "negative", side=20), "r: the region is 20 x 20 px"),
        (Unusable("r", "negative", "", "it has no geometry"), "r: it has no geometry"),
    ],
)
def test_a_slide_whose_regions_cannot_be_used_is_refused_with_their_reason(lost, reason, role):
    with pytest.raises(AnnotationError, match=f"none of its 1 regions can be used; {reason}"):
        known(lost, box("a", 10, 10), role=role)


def test_a_slide_without_regions_may_count_as_a_whole():
    whole = Window(0, 0, 1000, 800)
    partly = known(box("a", 10, 10), role=Role.POSITIVE)
    assert [(one.window, one.statement) for one in partly.regions] == [(whole, "annotated")]
    fully = known(box("a", 10, 10), role=Role.POSITIVE, complete=True)
    assert (fully.truth_windows, len(fully.truth or ())) == ((whole,), 1)
    drawn = known(box("a", 10, 10), region("r", "annotated"), role=Role.POSITIVE, complete=True)
    assert [one.id for one in drawn.regions] == ["r"]


@pytest.mark.parametrize("role", [Role.NEGATIVE, Role.UNLABELLED])
def test_a_slide_that_is_said_to_have_no_marks_must_have_none(role):
    assert known(role=role).regions == ()
    with pytest.raises(AnnotationError, match=f"--role {role} is given.*1 cells are drawn"):
        known(box("a", 10, 10), role=role)


def test_a_negative_region_with_a_cell_in_it_refuses_the_slide():
    with pytest.raises(AnnotationError, match="the negative region n holds 1 cells, such as a"):
        known(region("n", "negative"), box("a", 10, 10))


def test_cells_outside_the_regions_contradict_a_negative_rest():
    objects = region("r", "annotated"), box("a", 600, 600)
    with pytest.raises(AnnotationError, match=r"--rest negative says.*1 are drawn there"):
        known(*objects, rest=Role.NEGATIVE)
    assert len(known(*objects, rest=None).cells) == 0
