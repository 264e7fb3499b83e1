from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError, LeakError, WrongUseError
from storage.datasets.splits import (
    Bundle,
    Part,
    Place,
    parts,
    place_bundles,
    require,
    require_every_part,
)

GROUPS = st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=20)


@dataclass(frozen=True)
class Region:
    region_id: str
    group: str = "liver"
    easy_fold: int = 0
    easy_half: int = 0
    hard_fold: int = 0
    hard_half: int = 0


def of_groups(groups):
    return {f"item {group}": (f"organ={group}", f"slide=of {group}") for group in groups}


def places(bundles):
    return {bundle.name: bundle.place for bundle in bundles}


def hard_region(name, fold, half=0):
    return Region(name, group=f"group of {name}", hard_fold=fold, hard_half=half)


@given(GROUPS, st.integers(0, 5))
def test_groups_that_join_at_once_fill_the_folds_evenly(groups, seed):
    placed = places(place_bundles(of_groups(groups), seed=seed))
    folds = Counter(place.fold for place in placed.values())
    halves = Counter(placed.values())
    sizes = [folds[fold] for fold in range(3)]
    assert len(placed) == len(groups)
    assert max(sizes) - min(sizes) <= 1
    assert all(0 <= halves[Place(f, 0)] - halves[Place(f, 1)] <= 1 for f in range(3))


@given(GROUPS, GROUPS, st.integers(0, 5))
def test_a_group_that_joins_later_moves_nothing(first, second, seed):
    before = place_bundles(of_groups(first), seed=seed)
    after = places(place_bundles(of_groups(first | second), placed=before, seed=seed))
    assert {name: after[name] for name in places(before)} == places(before)
    sizes = Counter(place.fold for place in after.values())
    assert max(sizes[f] for f in range(3)) - min(sizes[f] for f in range(3)) <= 1


@given(GROUPS, GROUPS)
def test_a_group_that_is_gone_keeps_its_place_for_when_it_comes_back(first, second):
    before = place_bundles(of_groups(first))
    between = place_bundles(of_groups(second), placed=before)
    after = places(place_bundles(of_groups(first), placed=between))
    assert {name: after[name] for name in places(before)} == places(before)


TIES = st.lists(
    st.tuples(
        st.sampled_from(["organ=a", "organ=b", "organ=c", "organ=d", "organ=e", "organ=f"]),
        st.integers(0, 20).map(lambda n: f"slide={n}"),
        st.integers(0, 20).map(lambda n: f"patient={n}"),
    ),
    min_size=1,
    max_size=25,
)


@given(TIES)
def test_items_that_share_anything_are_never_split(ties):
    bundles = place_bundles({str(i): one for i, one in enumerate(ties)})
    home = {tie: bundle for bundle in bundles for tie in bundle.ties}
    assert sum(len(bundle.ties) for bundle in bundles) == len(home)
    assert all(home[tie] is home[one[0]] for one in ties for tie in one)


def test_the_order_of_the_items_does_not_matter():
    ties = of_groups("abcdefgh")
    assert place_bundles(dict(reversed(ties.items()))) == place_bundles(ties)


def test_another_seed_gives_another_split():
    splits = {tuple(place_bundles(of_groups("abcdefgh"), seed=seed)) for seed in range(5)}
    assert len(splits) > 1


def test_a_patient_joins_two_organs_into_one_bundle():
    bundles = place_bundles(
        {
            "one": ("organ=liver", "patient=p"),
            "two": ("organ=colon", "patient=p"),
            "three": ("organ=lung", "patient=q"),
        }
    )
    assert sorted(bundle.name for bundle in bundles) == ["organ=colon", "organ=lung"]


def test_a_new_item_of_an_old_patient_follows_the_patient():
    old = (Bundle("organ=liver", frozenset({"organ=liver", "patient=p"}), Place(2, 1)),)
    [bundle] = place_bundles({"new": ("organ=lung", "patient=p")}, placed=old)
    assert bundle.place == Place(2, 1)
    assert bundle.ties == {"organ=liver", "organ=lung", "patient=p"}


def test_two_new_items_that_meet_only_in_an_old_bundle_both_follow_it():
    old = (Bundle("organ=x", frozenset({"organ=x", "slide=s", "patient=p"}), Place(1, 0)),)
    new = {"one": ("organ=y", "slide=s"), "two": ("organ=z", "patient=p")}
    [bundle] = place_bundles(new, placed=old)
    assert bundle.ties >= {"organ=x", "organ=y", "organ=z"}
    assert bundle.place == Place(1, 0)


def test_data_that_ties_two_used_folds_is_refused():
    old = (
        Bundle("organ=colon", frozenset({"organ=colon", "patient=p"}), Place(0, 0)),
        Bundle("organ=liver", frozenset({"organ=liver", "patient=q"}), Place(1, 0)),
    )
    with pytest.raises(LeakError, match=r"organ=colon \(fold 0, half 0\) to organ=liver \(fold 1"):
        place_bundles({"new": ("organ=colon", "patient=q")}, placed=old)


def test_a_fold_tests_and_half_of_the_next_validates():
    regions = [hard_region(f"{fold}{half}", fold, half) for fold in range(3) for half in (0, 1)]
    assert parts(regions, "hard", 2) == {
        "20": Part.TEST, "21": Part.TEST, "00": Part.VALIDATION,
        "01": Part.TRAIN, "10": Part.TRAIN, "11": Part.TRAIN,
    }  # fmt: skip


def test_easy_mode_asks_for_the_easy_fold():
    region = Region("r", easy_fold=1, easy_half=0, hard_fold=0)
    assert parts([region], "easy", 0) == {"r": Part.VALIDATION}
    assert parts([region], "hard", 0) == {"r": Part.TEST}


def test_every_region_is_tested_once():
    regions = [hard_region(str(i), i % 3, i % 2) for i in range(10)]
    tested = [
        r for fold in range(3) for r, p in parts(regions, "hard", fold).items() if p == "test"
    ]
    assert sorted(tested) == [str(i) for i in range(10)]


def test_a_fold_that_does_not_exist_is_wrong_use():
    with pytest.raises(WrongUseError, match="Fold 3 does not exist: the folds are 0 to 2"):
        parts([], "hard", 3)


def test_a_stage_that_sees_a_test_region_is_stopped():
    regions = [hard_region("a", 0), hard_region("b", 2)]
    with pytest.raises(
        LeakError, match=r"Region a \(group group of a\) is in the test part of hard"
    ):
        require(regions, ["b", "a"], allowed={Part.TRAIN}, mode="hard", fold=0)


def test_a_stage_may_see_what_it_is_allowed():
    regions = [hard_region("a", 0), hard_region("b", 2), hard_region("c", 1, 0)]
    allowed = {Part.TRAIN, Part.VALIDATION}
    require(regions, ["b", "c"], allowed=allowed, mode="hard", fold=0)
    require(regions, ["a", "b", "c"], allowed=set(Part), mode="hard", fold=0)


def test_a_region_of_another_dataset_is_stopped():
    with pytest.raises(LeakError, match="Region z is in no split"):
        require([hard_region("a", 0)], ["z"], allowed=set(Part), mode="hard", fold=0)


def test_too_few_groups_for_a_split_are_named():
    found = parts([hard_region("a", 0), hard_region("b", 1)], "hard", 0)
    with pytest.raises(InputError, match="Hard fold 0 has no region to train on: 2 regions"):
        require_every_part(found, "hard", 0)
    require_every_part({"a": Part.TRAIN, "b": Part.TEST, "c": Part.VALIDATION}, "hard", 0)
