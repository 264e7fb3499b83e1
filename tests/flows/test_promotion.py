"""A production run's network becomes champion by the rule, never by the mere end of the run."""

import pytest

from flows.promotion import contended
from models.errors import LeakError
from models.methods.settings import PromotionSettings
from storage.champion import history, stand, standing
from storage.checkpoints import find_checkpoint, load_card
from storage.layout import Kind, Ref
from storage.ledger import Ledger
from tasks.contend import _ruled, require_unseen
from tasks.trial import Selection


@pytest.fixture
def ended(conducted, tmp_path):
    """Return a copy of a finished run's ground, and what its report was made of."""
    return conducted.ground.copied(tmp_path), conducted.inputs


def challenger_of(inputs):
    return [one for one in inputs.arms if one.arm == "cooperative"]


def test_a_gain_that_may_be_chance_makes_a_challenger_only(ended):
    ground, inputs = ended
    contended(ground.run, ground.config, inputs)
    assert standing(ground.at, "champion") is None
    made = standing(ground.at, "challenger")
    assert made is not None
    assert made.ref in {one.best.checkpoint for one in challenger_of(inputs)}
    (event,) = [one for one in Ledger(ground.at).pending_events() if "standing" in one.topic]
    assert (event.body["name"], event.body["checkpoint"]) == ("challenger", str(made.ref))


def test_the_champion_is_who_the_challenger_must_beat(ended):
    ground, inputs = ended
    champion = inputs.arms[0].best.checkpoint
    stand(ground.at, "champion", champion, by="ada", reason="the first")
    contended(ground.run, ground.config, inputs)
    cards = [load_card(ground.at, Ref(Kind.CARD, one.name)) for one in
             (ground.at.root / Kind.CARD).glob("[0-9a-f]*")]  # fmt: skip
    (card,) = [one for one in cards if "challenger_froc" in one]
    assert card["champion"] == champion.digest
    assert card["gain"] == pytest.approx(card["challenger_froc"] - card["champion_froc"])


def test_a_challenger_that_is_champion_already_has_nobody_to_beat(ended):
    ground, inputs = ended
    for one in challenger_of(inputs):
        stand(ground.at, "champion", one.best.checkpoint, by="ada", reason="x")
    before = history(ground.at)
    contended(ground.run, ground.config, inputs)
    assert len(history(ground.at)) <= len(before) + 1


def test_who_learned_from_the_judging_slides_is_not_judged(ended):
    ground, inputs = ended
    arm = inputs.arms[0]
    from storage.datasets.splits import Part
    from storage.regions import open_regions
    from tasks.trial import ANNOTATED

    source = open_regions(ground.at, inputs.regions)
    part = {name: {info.group for info in Selection(arm.trial, name, ANNOTATED).of(source)}
            for name in Part}  # fmt: skip
    require_unseen(ground.at, arm.best.checkpoint, part[Part.VALIDATION])
    with pytest.raises(LeakError, match="which is to judge it now"):
        require_unseen(ground.at, arm.best.checkpoint, part[Part.TRAIN])


@pytest.mark.parametrize(
    ("interval", "promotes"),
    [((0.01, 0.2), True), ((0.0, 0.2), False), ((-0.1, 0.2), False), (None, False)],
)
def test_the_whole_interval_must_lie_above_the_limit(interval, promotes):
    assert _ruled(0.1, interval, PromotionSettings())[0] is promotes


def test_a_limit_above_zero_asks_for_more():
    assert not _ruled(0.1, (0.01, 0.2), PromotionSettings(minimum_gain=0.05))[0]


def test_a_checkpoint_is_found_by_what_it_stands_for(ended):
    ground, inputs = ended
    champion = inputs.arms[0].best.checkpoint
    stand(ground.at, "champion", champion, by="ada", reason="x")
    assert find_checkpoint(ground.at, "champion") == champion
