import json
import shlex

import pytest

from flows.command import MOST_CHANGES, shortest_command
from flows.config import PRESETS, load_config
from tests.conftest import small_config


def said(command):
    """Return the configuration that a command runs."""
    words = shlex.split(command)
    assert words[:2] == ["signetflow", "run"]
    assert words[3::2] == ["--set"] * len(words[4::2])
    return load_config(words[2], tuple(words[4::2]))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("seeds=[1, 2]", "dataset=mine"),
        ("training.learning_rate=1e-05", "instances.candidate_floor=0.05"),
        ("networks={one: {family: tiny_dla}}", "arms=[supervised, self]"),
        ("dataset='on'",),  # YAML reads a bare word here as true
        ("self_training.stop.minimum_growth=0.5", "evaluation.minimum_precision=0.2"),
    ],
)
def test_the_command_runs_the_same_retraining(overrides):
    config = load_config("demo", overrides)
    command = shortest_command(config)
    assert said(command) == config
    assert command.startswith("signetflow run demo")
    assert command.count("--set") == len(overrides)


def test_the_nearest_preset_is_named_whatever_the_run_is_called():
    config = load_config("tiny", ("name=demo",))
    assert shortest_command(config) == "signetflow run tiny --set name=demo"


def test_a_configuration_that_is_near_no_preset_has_no_command():
    assert shortest_command(small_config()) == ""
    assert MOST_CHANGES < 20


def test_a_change_that_cannot_be_said_gives_no_command(tmp_path, monkeypatch):
    # A dot in a name is read as a step into a group: --set cannot reach behind it.
    preset = small_config(networks={"a.b": {"family": "tiny_dla"}}, arms=["supervised"])
    (tmp_path / "dotted.yaml").write_text(json.dumps(preset.model_dump(mode="json")))
    monkeypatch.setattr("flows.command.PRESETS", tmp_path)
    monkeypatch.setattr("flows.config.PRESETS", tmp_path)
    assert shortest_command(preset) == "signetflow run dotted"
    other = {"a.b": preset.networks["a.b"].model_copy(update={"family": "tiny_resnet"})}
    assert shortest_command(preset.model_copy(update={"networks": other})) == ""


def test_every_shipped_preset_is_its_own_command():
    for path in PRESETS.glob("*.yaml"):
        if path.stem in {"demo", "tiny", "paper", "images-cpu"}:
            assert shortest_command(load_config(path.stem)) == f"signetflow run {path.stem}"


def test_a_command_leaves_out_what_is_part_of_no_run():
    told = ("runtime.dask.address=tcp://127.0.0.1:8786", "training.save_every_s=5")
    assert shortest_command(load_config("tiny", told)) == "signetflow run tiny"
