import json
from dataclasses import replace

import pytest

from models.errors import IntegrityError
from storage.checkpoints import load_card, save_card
from storage.layout import Kind
from tasks.page import Asked, _cards, _follows, report_data
from tasks.report import (
    CONFIG,
    GAINS,
    GROUPS,
    PAGE,
    TABLE,
    ReportInputs,
    _rows,
    measured,
    read_gains,
    read_table,
)


@pytest.fixture(scope="module")
def folder(conducted):
    return conducted.ground.at.path(conducted.report)


@pytest.fixture(scope="module")
def data(conducted):
    ground, config = conducted.ground, conducted.ground.config
    floor = config.instances.candidate_floor
    numbers = measured(ground.at, conducted.inputs, config.evaluation, floor)
    asked = Asked(config.model_dump(mode="json"), config.evaluation, "signetflow run tiny")
    return report_data(ground.at, conducted.inputs, numbers, asked)


def test_a_report_is_a_table_a_page_and_the_settings(folder, conducted):
    names = {path.name for path in folder.iterdir()}
    assert names >= {TABLE, GAINS, GROUPS, PAGE, CONFIG, "MANIFEST.json"}
    assert json.loads((folder / CONFIG).read_text()) == conducted.ground.config.model_dump(
        mode="json"
    )


def test_the_settings_beside_the_page_run_the_same_retraining(folder, conducted):
    from flows.config import load_config

    assert load_config(str(folder / CONFIG)) == conducted.ground.config


def test_the_table_is_strict_json_with_one_row_per_arm_network_and_truth(folder):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((folder / TABLE).read_text(), parse_constant=refuse)
    assert list(content) == ["rows"]
    assert len(content["rows"]) == 24


def test_rows_name_the_label_version_and_checkpoint_that_were_evaluated(conducted):
    at = conducted.ground.at
    arms = {(arm.model, arm.arm): arm for arm in conducted.inputs.arms}
    for row in read_table(at, conducted.report):
        best = arms[row["model"], row["arm"]].best
        assert (row["label_version"], row["checkpoint"]) == (
            best.labels.digest, best.checkpoint.digest,
        )  # fmt: skip
        assert row["candidate_floor"] == 0.15


def test_an_altered_table_is_not_read(conducted, tmp_path):
    ground = conducted.ground.copied(tmp_path)
    (ground.at.path(conducted.report) / TABLE).write_text('{"rows": []}')
    with pytest.raises(IntegrityError):
        read_table(ground.at, conducted.report)


def test_the_page_needs_nothing_from_elsewhere(folder):
    page = (folder / PAGE).read_text()
    for word in ('src="http', 'href="http', "@import", "<script src"):
        assert word not in page
    for arm in ("supervised", "cooperative"):
        assert arm in page


def test_gains_lie_beside_the_table_for_programs(conducted):
    gains = read_gains(conducted.ground.at, conducted.report)
    assert len(gains) == 12  # three arms of two networks, under two truths
    for one in gains:
        assert one["gain"] == pytest.approx(one["froc"] - one["control_froc"])
        assert (one["n_slides"], one["verdict"]) == (2, "cannot be told")


def test_a_report_of_an_older_signetflow_has_no_gains_to_read(conducted, tmp_path):
    from storage.artefacts import commit, draft

    at = conducted.ground.at
    with draft(at, Kind.REPORT) as artefact:
        (artefact.path / TABLE).write_text('{"rows": []}')
        assert read_gains(at, commit(at, Kind.REPORT, artefact)) == []


def test_every_arm_that_has_a_control_is_compared_with_it(data):
    compared = {(gain.model, gain.truth, gain.arm) for gain in data.gains}
    assert compared == {
        (model, truth, arm)
        for model in "ab"
        for truth in ("complete", "partial")
        for arm in ("self", "self_extra", "cooperative")
    }
    gains = {(row.arm, row.truth) for row in data.rows if row.gain_interval is not None}
    assert gains >= {("self", "complete"), ("cooperative", "partial")}


def test_curves_rounds_and_growth_are_those_of_the_cards(data, conducted):
    at = conducted.ground.at
    assert {(plot.model, plot.truth) for plot in data.froc} == {
        (model, truth) for model in "ab" for truth in ("complete", "partial")
    }
    assert {plot.model for plot in data.precision} == {"a", "b"}
    assert len(data.training) == len(conducted.inputs.arms)
    cards = [load_card(at, one) for arm in conducted.inputs.arms for one in arm.verdicts]
    assert [card.n_cells for card in data.rounds] == [
        card["n_pseudo"] + card["n_human"] for card in cards
    ]
    assert [card.label_version for card in data.rounds] == [card["after"] for card in cards]


@pytest.fixture
def arm(conducted):
    return next(one for one in conducted.inputs.arms if one.arm == "self")


def test_the_round_that_only_ended_the_rounds_is_told_with_its_reason(conducted, arm):
    at = conducted.ground.at
    ending = {"round": 9, "goes_on": False, "reason": "labels changed by 0.1% only"}
    card = save_card(at, load_card(at, arm.verdicts[0]) | ending)
    told = _cards(at, replace(arm, verdicts=(*arm.verdicts, card)), conducted.inputs.arms)
    assert [one.round for one in told][-1] == 9
    assert (told[-1].kept, told[-1].validation, told[-1].alarms) == (False, None, ())
    assert told[-1].decision == (
        "Labels changed by 0.1% only. The rounds stop: nothing was trained on these labels."
    )
    assert "Training goes on." in told[0].decision


def test_a_round_shows_its_alarms_and_why_it_is_kept(conducted, arm):
    at = conducted.ground.at
    said = {"froc": 0.5, "froc_low": 0.4, "froc_high": 0.6, "recall": 0.7, "fps": 2.5}
    shown = {"validation": said, "disagreement": 0.25, "alarms": ["confirmation bias: look."]}
    rounds = tuple(replace(one, evidence=save_card(at, shown)) for one in arm.rounds)
    choice = save_card(at, {"reason": "the last round: there is nothing to validate on"})
    known = replace(arm, rounds=rounds, choice=choice)
    cards = _cards(at, known, conducted.inputs.arms)
    first = cards[0]
    assert first.alarms == ("confirmation bias: look.",)
    assert (first.validation, first.validation_low, first.validation_high) == (0.5, 0.4, 0.6)
    assert (first.fps, first.disagreement) == (2.5, 0.25)
    (kept,) = (card for card in cards if card.kept)
    assert kept.decision.endswith("Kept: the last round: there is nothing to validate on.")


def test_a_round_of_an_older_signetflow_has_no_evidence_but_its_validation(conducted, arm):
    at = conducted.ground.at
    rounds = tuple(replace(one, evidence=None) for one in arm.rounds)
    old = replace(arm, rounds=rounds, choice=None)
    before, now = (_cards(at, one, conducted.inputs.arms) for one in (old, arm))
    assert [card.validation for card in before] == [card.validation for card in now]
    assert {card.alarms for card in before} == {()}
    assert not any("Kept" in card.decision for card in before)


def test_a_network_that_trains_for_its_partner_says_so():
    assert _follows(False, trained=True) == "Training goes on, for the other network's sake."


def test_the_page_says_how_to_have_the_run_again(data, conducted):
    texts = [command.text for command in data.commands]
    assert texts == ["signetflow run config.json", "signetflow run tiny"]
    assert conducted.inputs.dataset.digest[:8] in data.commands[0].note


def test_the_page_says_how_the_evaluation_counted(data):
    assert data.measures.bootstrap == 50
    assert data.measures.fps_points == (1, 2, 4, 8, 16, 32)


def test_the_page_tells_versions_and_all_settings(data):
    assert data.settings["training.crop_px"] == "64"
    assert data.settings["networks.a.family"] == "tiny_resnet"
    assert "torch" in data.versions


def test_one_round_of_each_relabelling_arm_is_the_kept_one(data):
    kept = [(card.arm, card.model) for card in data.rounds if card.kept]
    assert len(kept) == len(set(kept)) == 6


def test_a_report_of_an_arm_that_was_not_evaluated_is_a_mistake(conducted):
    with pytest.raises(AssertionError, match="evaluated arms"):
        _rows(conducted.ground.at, conducted.heard[0], 0.15)


def test_a_report_is_kept_among_the_reports(conducted):
    assert conducted.report.kind is Kind.REPORT
    assert isinstance(conducted.inputs, ReportInputs)
