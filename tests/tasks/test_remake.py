import json

import pytest

from models.errors import NotFoundError
from storage.layout import Kind, Ref
from tasks.remake import _inputs, arguments_of, remade
from tasks.report import PAGE, TABLE, report


def test_the_ledger_knows_what_a_report_was_made_of(conducted):
    known = arguments_of(conducted.ground.at, conducted.report)
    assert known["inputs"] == conducted.inputs
    assert known["evaluation"] == conducted.ground.config.evaluation
    assert json.loads(known["settings"]) == conducted.ground.config.model_dump(mode="json")


def test_a_report_is_made_again_without_its_old_one(conducted, tmp_path):
    ground = conducted.ground.copied(tmp_path)
    old = ground.at.path(conducted.report)
    table = (old / TABLE).read_text()
    (old / PAGE).write_text("harmed")
    again = remade(ground.run, conducted.report)
    assert (ground.at.path(again) / TABLE).read_text() == table
    assert "What came out" in (ground.at.path(again) / PAGE).read_text()
    found = ground.run.ledger.find(report.key(arguments_of(ground.at, again)))
    assert found is not None
    assert found.ref == again


def test_a_report_that_nobody_made_says_what_to_do(conducted):
    with pytest.raises(NotFoundError, match=r"signetflow run with the config\.json"):
        arguments_of(conducted.ground.at, Ref(Kind.REPORT, "0" * 32))


def test_a_run_of_an_older_signetflow_lacks_what_came_later(conducted):
    at = conducted.ground.at
    record = conducted.ground.run.ledger.made(conducted.report)
    value = conducted.ground.run.ledger.arguments(record.key)["inputs"]
    for arm in value["arms"]:
        for one in arm["rounds"]:
            del one["verdict"]
    inputs = _inputs(value)
    assert all(one.verdict is None for arm in inputs.arms for one in arm.rounds)
    assert inputs.regions == conducted.inputs.regions
    assert at.path(inputs.arms[0].rounds[0].checkpoint).exists()


def test_cards_of_an_older_evaluation_still_make_a_page(conducted, tmp_path):
    from dataclasses import replace

    from storage.checkpoints import load_card, save_card
    from tasks.page import Asked, report_data
    from tasks.report import measured

    ground = conducted.ground.copied(tmp_path)
    new = {"groups", "precision_recall", "n_slides"}
    arms = []
    for arm in conducted.inputs.arms:
        card = load_card(ground.at, arm.evaluation)
        results = {
            truth: {name: value for name, value in one.items() if name not in new}
            for truth, one in card["results"].items()
        }
        arms.append(replace(arm, evaluation=save_card(ground.at, card | {"results": results})))
    inputs = replace(conducted.inputs, arms=tuple(arms))
    numbers = measured(ground.at, inputs, ground.config.evaluation, 0.15)
    asked = Asked(ground.config.model_dump(mode="json"), ground.config.evaluation)
    data = report_data(ground.at, inputs, numbers, asked)
    assert (data.breakdowns, data.precision) == ((), ())
    assert len(data.froc) == 4
    assert {row.n_slides for row in data.rows} == {None}
