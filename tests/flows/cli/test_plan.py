import json

import pytest

from flows.cli import main
from storage.layout import Workspace


def cli(capsys, *words):
    code = main([str(word) for word in (*words, "--json")])
    return code, json.loads(capsys.readouterr().out)


def plan_words(demo):
    return (
        "plan", "tiny", "--set", "dataset=tiny-0", "--set", "seeds=[0]", "--set", "splits=[hard]",
        "--workspace", demo.at.root,
    )  # fmt: skip


def test_the_plan_is_finished(demo, capsys):
    code, answer = cli(capsys, *plan_words(demo))
    assert (code, answer["run"], answer["pending"]) == (0, demo.answer["run"], 0)
    assert {stage["state"] for stage in answer["stages"]} == {"finished"}
    assert all(stage["seconds"] >= 0 for stage in answer["stages"])
    assert main([str(word) for word in plan_words(demo)]) == 0
    assert "Nothing to do: every stage is finished." in capsys.readouterr().out


def test_a_plan_of_a_change_shares_what_it_can_and_has_an_estimate(demo, capsys):
    words = (*plan_words(demo), "--set", "self_training.threshold=0.9")
    _, answer = cli(capsys, *words)
    states = {stage["label"]: stage["state"] for stage in answer["stages"]}
    assert states["hard fold 0 seed 0 · residual · supervised"] == "finished"
    assert answer["pending"] > 30
    assert answer["eta_s"] > 0


def test_a_plan_of_a_new_run_makes_nothing(own_ground, preset, snapshot, capsys):
    before = snapshot(own_ground.at.root)
    code, answer = cli(capsys, "plan", preset, "--workspace", own_ground.at.root)
    assert code == 0
    assert [(one["stage"], one["state"]) for one in answer["stages"][:3]] == [
        ("extract", "finished"), ("annotate", "finished"), ("train", "pending"),
    ]  # fmt: skip
    assert answer["pending"] == 5
    assert answer["eta_s"] is None  # nobody has trained here yet
    assert snapshot(own_ground.at.root) == before


def test_for_people_it_says_what_was_never_timed(own_ground, preset, capsys):
    assert main(["plan", str(preset), "--workspace", str(own_ground.at.root)]) == 0
    out = capsys.readouterr().out
    assert "5 of 7 stages are pending: about 0.0 s and 5 stages never timed." in out
    assert "hard fold 0 seed 0 · a · supervised" in out


@pytest.mark.parametrize(("words", "type_"), [
    (("plan", "tiny", "--set", "dataset=none"), "NotFoundError"),
    (("plan", "dmeo"), "ConfigError"),
])  # fmt: skip
def test_wrong_use_is_two_and_makes_no_workspace(tmp_path, capsys, words, type_):
    at = Workspace(tmp_path / "none")
    code, answer = cli(capsys, *words, "--workspace", at.root)
    assert (code, answer["error"]["type"], answer["error"]["exit_code"]) == (2, type_, 2)
    assert not at.root.exists()
