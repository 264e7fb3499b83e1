import json

import pytest

from models.errors import IntegrityError
from storage.checkpoints import load_card
from storage.layout import Kind
from tasks.page import report_data
from tasks.report import CONFIG, PAGE, TABLE, ReportInputs, _rows, read_table


@pytest.fixture(scope="module")
def folder(conducted):
    return conducted.ground.at.path(conducted.report)


@pytest.fixture(scope="module")
def data(conducted):
    from tasks.page import Asked

    ground, floor = conducted.ground, conducted.ground.config.instances.candidate_floor
    rows = [row for arm in conducted.inputs.arms for row in _rows(ground.at, arm, floor)]
    asked = Asked(ground.config.model_dump(mode="json"), ground.config.evaluation)
    return report_data(ground.at, conducted.inputs, rows, asked)


def test_a_report_is_a_table_a_page_and_the_settings(folder, conducted):
    assert {path.name for path in folder.iterdir()} >= {TABLE, PAGE, CONFIG, "MANIFEST.json"}
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


def test_every_arm_that_has_a_control_is_compared_with_it(data):
    told = " ".join(data.summary)
    assert len(data.summary) == 6  # self, cooperative and self_extra of two networks
    assert told.count("its control") == 6
    gains = {(row.arm, row.truth) for row in data.rows if row.gain_interval is not None}
    assert gains >= {("self", "complete"), ("cooperative", "partial")}


def test_curves_rounds_and_growth_are_those_of_the_cards(data, conducted):
    at = conducted.ground.at
    assert {(plot.model, plot.truth) for plot in data.froc} == {
        (model, truth) for model in "ab" for truth in ("complete", "partial")
    }
    assert len(data.training) == len(conducted.inputs.arms)
    cards = [
        load_card(at, one.verdict) for arm in conducted.inputs.arms for one in arm.rounds
        if one.verdict
    ]  # fmt: skip
    assert len(data.rounds) == len(cards)
    assert [card.n_cells for card in data.rounds] == [
        card["n_pseudo"] + card["n_human"] for card in cards
    ]
    assert {card.label_version for card in data.rounds} == {card["after"] for card in cards}


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
