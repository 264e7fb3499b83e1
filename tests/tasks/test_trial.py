import pytest

from models.annotations import Role
from models.errors import InputError, LeakError
from storage.datasets.splits import Part, parts
from storage.regions import open_regions
from tasks.trial import ANNOTATED, Selection, Trial, require_cells


@pytest.fixture(scope="module")
def source(ground):
    return open_regions(ground.at, ground.regions)


def chosen(source, part, roles=tuple(Role), split="hard", fold=0, seed=0):
    return Selection(Trial(split, fold, seed), part, roles).of(source)


@pytest.mark.parametrize("split", ["hard", "easy"])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_parts_share_no_region_and_together_are_all(source, split, fold):
    found = [chosen(source, part, split=split, fold=fold) for part in Part]
    names = [{one.region_id for one in regions} for regions in found]
    assert sum(map(len, names)) == len(set.union(*names)) == len(source.infos) == 18


def test_hard_parts_share_no_organ(source):
    organs = [{one.group for one in chosen(source, part)} for part in Part]
    assert sorted(map(len, organs)) == [1, 2, 3]
    assert len(set.union(*organs)) == 6


def test_a_selection_holds_only_the_roles_that_are_asked(source):
    assert {one.role for one in chosen(source, Part.TRAIN, ANNOTATED)} == set(ANNOTATED)
    assert {one.role for one in chosen(source, Part.TRAIN, (Role.UNLABELLED,))} == {Role.UNLABELLED}


def test_the_order_is_fixed_and_the_seed_moves_nothing(source):
    names = [one.region_id for one in chosen(source, Part.TRAIN)]
    assert names == sorted(names)
    assert names == [one.region_id for one in chosen(source, Part.TRAIN, seed=7)]


def test_a_region_of_another_part_is_a_leak(source, monkeypatch):
    def tampered(infos, split, fold):
        found = parts(infos, split, fold)
        leaked = next(name for name, part in found.items() if part is Part.TEST)
        return found | {leaked: Part.TRAIN}

    monkeypatch.setattr("tasks.trial.parts", tampered)
    with pytest.raises(LeakError, match=r"is in the test part of hard fold 0"):
        chosen(source, Part.TRAIN)


def test_a_trial_is_named_for_people_and_for_chains():
    assert str(Trial("hard", 1, 2)) == "hard fold 1 seed 2"
    assert Trial("hard", 1, 2).chain == "hard/fold1/seed2"


def test_a_ground_with_cells_in_every_part_is_accepted(ground):
    require_cells(ground.at, ground.regions, Trial("hard", 0, 0))


@pytest.mark.parametrize("part", list(Part))
def test_a_part_without_an_annotated_cell_is_refused_before_anything_trains(
    ground, source, part, monkeypatch
):
    from models.annotations import Annotations
    from storage.regions import Regions

    empty = {one.region_id for one in chosen(source, part, (Role.POSITIVE,))}
    real = Regions.annotations

    def annotations(self, region_id):
        return Annotations.none() if region_id in empty else real(self, region_id)

    monkeypatch.setattr(Regions, "annotations", annotations)
    with pytest.raises(InputError, match=rf"no annotated cell in the {part} part"):
        require_cells(ground.at, ground.regions, Trial("hard", 0, 0))
