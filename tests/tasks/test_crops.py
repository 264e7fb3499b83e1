import pytest

from models.annotations import Role
from models.merging.settings import MergeSettings
from storage.checkpoints import save_card
from storage.datasets.splits import Part
from tasks.crops import SIDE_PX, STORIES, stories
from tasks.evidence import ArmEvidence, Round
from tasks.relabel import Step, relabel
from tasks.report import ReportInputs
from tasks.trial import Trial


@pytest.fixture(scope="module")
def told(ground, perfect):
    """Return the stories of one arm that found every forgotten cell in its first round."""
    labels = relabel(
        ground.run, "relabel", regions=ground.regions, annotated=ground.annotated,
        previous=ground.annotated, detections=perfect(Part.TRAIN, Role.POSITIVE),
        step=Step("crops", "self", 1, MergeSettings(threshold=0.5)),
    )  # fmt: skip
    checkpoint = save_card(ground.at, {"stands": "for a checkpoint"})
    first = Round(1, labels, checkpoint, ground.annotated)
    arm = ArmEvidence(Trial("hard", 0, 0), "self", "a", (first,), 0, 4, (), None, None, None)
    other = ArmEvidence(
        Trial("hard", 0, 0), "cooperative", "a", (first,), 0, 4, (), None, None, None
    )
    inputs = ReportInputs(ground.dataset, ground.regions, ground.annotated, (arm, other))
    return stories(ground.at, inputs)


def test_each_story_is_a_piece_of_tissue_that_gained_cells(told):
    assert 0 < len(told) <= STORIES
    for story in told:
        assert max(story.image.shape[:2]) <= SIDE_PX
        assert "positive@" in story.caption
        assert [panel.title for panel in story.panels] == ["as annotated", "round 1"]


def test_panels_tell_a_persons_cells_from_found_and_added_ones(told):
    before, after = told[0].panels
    counts = [(len(p.annotated), len(p.found), len(p.added)) for p in (before, after)]
    assert counts == [(2, 0, 0), (2, 0, 1)]


def test_the_cell_that_a_person_forgot_is_shown_as_hidden_truth(told):
    for panel in told[0].panels:
        assert len(panel.hidden) == 1


def test_outlines_lie_over_the_cells_of_the_picture(told):
    story = told[0]
    for ring in (story.panels[1].added[0], story.panels[1].annotated[0]):
        x, y = ring.mean(axis=0).astype(int)
        assert story.image[y, x].sum() < 350  # dark, as painted
    corners = story.image[[0, -1], [0, -1]]
    assert (corners.sum(axis=1) > 500).all()


def test_an_arm_that_added_nothing_has_no_story(ground):
    still = Round(1, ground.annotated, ground.annotated, ground.annotated)
    arm = ArmEvidence(Trial("hard", 0, 0), "self", "a", (still,), 0, 4, (), None, None, None)
    inputs = ReportInputs(ground.dataset, ground.regions, ground.annotated, (arm,))
    assert stories(ground.at, inputs) == []
