import numpy as np
import pytest

from models.annotations import Origin, Role
from models.merging.settings import MergeSettings
from storage.datasets.splits import Part
from storage.labels.store import open_version
from tasks.relabel import RELABELLED, Step, relabel

STEP = Step("hard/fold0/seed0/self/a", "self", 1, MergeSettings(threshold=0.5))


@pytest.fixture(scope="module")
def perfected(ground, perfect):
    """Return the version after a perfect network looked at the positive training regions."""
    return relabelled(ground, perfect(Part.TRAIN, Role.POSITIVE), ground.annotated)


def relabelled(ground, detections, previous, step=STEP):
    ref = relabel(
        ground.run, "relabel", regions=ground.regions, annotated=ground.annotated,
        previous=previous, detections=detections, step=step,
    )  # fmt: skip
    return ref, open_version(ground.at, ref)


def test_the_cells_that_a_person_forgot_are_added(ground, perfected):
    _, version = perfected
    for region_id in version.info.parameters[RELABELLED]:
        records = version.records(region_id)
        assert records.origins.tolist() == [Origin.HUMAN, Origin.HUMAN, Origin.PSEUDO]
        assert records.rounds.tolist() == [0, 0, 1]
        assert records.stages.tolist() == ["ingest", "ingest", "self"]
        assert records.checkpoints.tolist() == ["", "", "f" * 32]
        assert records.scores[2] == pytest.approx(0.9, abs=0.01)
    assert version.info.n_cells == {"human": 12, "pseudo": 3}


def test_the_version_follows_the_one_before_in_its_own_chain(ground, perfected):
    _, version = perfected
    assert version.info.parent == ground.annotated.digest
    assert (version.info.chain, version.info.round) == (STEP.chain, 1)
    assert len(version.info.parameters[RELABELLED]) == 3


def test_a_persons_cells_are_equal_in_every_version(ground, perfected):
    root, (_, version) = open_version(ground.at, ground.annotated), perfected
    assert version.info.human_count == root.info.human_count == 12
    assert version.info.human_digest == root.info.human_digest


def test_regions_that_nobody_looked_at_stay_as_they_were(ground, perfected):
    root, (_, version) = open_version(ground.at, ground.annotated), perfected
    assert version.region_ids == root.region_ids
    for region_id in set(root.region_ids) - set(version.info.parameters[RELABELLED]):
        np.testing.assert_array_equal(version.cells(region_id)[:], root.cells(region_id)[:])


def test_unlabelled_regions_join_the_version_with_found_cells_only(ground, perfect):
    step = Step("hard/fold0/seed0/cooperative/a", "cooperative", 1, STEP.merging)
    found = perfect(Part.TRAIN, Role.UNLABELLED, boxes=[[10, 10, 40, 40]])
    _, version = relabelled(ground, found, ground.annotated, step)
    joined = version.info.parameters[RELABELLED]
    assert len(joined) == 3
    for region_id in joined:
        assert version.records(region_id).origins.tolist() == [Origin.PSEUDO]
    assert version.info.human_count == 12


def test_a_cell_that_is_found_again_keeps_its_id_and_round(ground, perfect, perfected):
    first, before = perfected
    step = Step(STEP.chain, "self", 2, STEP.merging)
    _, version = relabelled(ground, perfect(Part.TRAIN, Role.POSITIVE), first, step)
    for region_id in version.info.parameters[RELABELLED]:
        was, now = before.records(region_id), version.records(region_id)
        assert now.cell_ids.tolist() == was.cell_ids.tolist()
        assert now.rounds.tolist() == [0, 0, 1]


def test_a_network_that_finds_nothing_leaves_the_persons_cells_alone(ground, perfect):
    _, version = relabelled(ground, perfect(Part.TRAIN, Role.POSITIVE, boxes=[]), ground.annotated)
    assert version.info.n_cells == {"human": 12}
