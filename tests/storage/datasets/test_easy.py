from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from models.annotations import Role
from storage.datasets.easy import Looked, place_looked_at, place_of_tissue
from storage.datasets.splits import Place

SLIDES = st.sampled_from("xyz")
ROLES = st.sampled_from(Role)
REGIONS = st.dictionaries(
    st.text("abc", min_size=1, max_size=5), st.builds(Looked, SLIDES, ROLES), max_size=30
)


def placed(regions, before=None, twins=None, seed=0):
    return place_looked_at(regions, placed=before or {}, twin_of=twins or {}, seed=seed)


def sizes(places, regions, looked=None, slide=None):
    counts = Counter(
        places[one].fold
        for one, known in regions.items()
        if looked in {None, known.role} and slide in {None, known.slide}
    )
    return [counts[fold] for fold in range(3)]


@given(REGIONS, REGIONS, st.integers(0, 3))
def test_regions_that_join_later_move_nothing(first, second, seed):
    before = placed(first, seed=seed)
    after = placed({**second, **first}, before, seed=seed + 1)
    assert {one: after[one] for one in before} == before


@given(REGIONS, REGIONS)
def test_a_region_that_is_gone_keeps_its_place_for_when_it_comes_back(first, second):
    before = placed(first)
    between = placed(second, before)
    assert {one: placed(first, between)[one] for one in before} == before


@given(REGIONS, REGIONS)
def test_each_role_of_a_slide_is_spread_evenly_even_if_it_joins_in_two_goes(first, second):
    everything = {**second, **first}
    places = placed(everything, placed(first))
    for slide in "xyz":
        for role in Role:
            spread = sizes(places, everything, role, slide)
            assert max(spread) - min(spread) <= 1


@given(st.integers(1, 40), st.integers(0, 3))
def test_slides_of_one_region_each_fill_folds_and_halves_evenly(n, seed):
    regions = {f"r{i}": Looked(f"slide {i}", Role.POSITIVE) for i in range(n)}
    places = placed(regions, seed=seed)
    spread = sizes(places, regions)
    halves = Counter(places.values())
    assert max(spread) - min(spread) <= 1
    assert all(0 <= halves[Place(f, 0)] - halves[Place(f, 1)] <= 1 for f in range(3))


@given(REGIONS)
def test_the_order_in_which_regions_are_given_does_not_matter(regions):
    assert placed(dict(reversed(regions.items()))) == placed(regions)


def test_another_seed_gives_another_split():
    regions = {f"r{i}": Looked("x", Role.POSITIVE) for i in range(30)}
    assert placed(regions) != placed(regions, seed=1)


def test_copies_go_where_their_original_is_whichever_came_first():
    regions = {f"r{i}": Looked("x", Role.POSITIVE) for i in range(30)}
    twins = {"r7": "r3", "r3": "r1"}
    places = placed(regions, twins=twins)
    assert places["r7"] == places["r3"] == places["r1"]
    late = placed(regions, {"r7": Place(2, 1)}, twins)
    assert late["r1"] == late["r3"] == Place(2, 1)


def test_copies_that_were_placed_before_anyone_knew_stay_where_they_are():
    regions = {f"r{i}": Looked("x", Role.POSITIVE) for i in range(3)}
    before = {"r0": Place(0, 0), "r1": Place(2, 1)}
    places = placed(regions, before, {"r1": "r0", "r2": "r1"})
    assert {one: places[one] for one in before} == before
    assert places["r2"] in before.values()


def test_tissue_around_is_placed_by_its_name_alone():
    places = [place_of_tissue(f"s@{x},0", 0) for x in range(300)]
    counts = Counter(places)
    assert len(counts) == 6
    assert min(counts.values()) > 30
    assert places != [place_of_tissue(f"s@{x},0", 1) for x in range(300)]
