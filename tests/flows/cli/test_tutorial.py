"""Every command of the tutorial, in its order, on small made-up slides."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.config import PRESETS
from models.annotations import Role
from storage.datasets.catalogue import latest, open_catalogue
from storage.datasets.drawn import Drawn
from storage.geojson_objects import read_objects
from storage.layout import Workspace

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
PRESET = "images-cpu"


def fewer_steps(path: Path) -> Path:
    """Write the preset of the page with as few steps as there can be."""
    content = yaml.safe_load((PRESETS / f"{PRESET}.yaml").read_text())
    content["training"] |= {"epochs": 2, "steps_per_epoch": 4, "validate_every": 1}
    # A network that has hardly learnt anything is sure of little; one found cell is enough here.
    content["self_training"] |= {"rounds": 1, "epochs": 1, "threshold": 0.34}
    content["evaluation"] = {"bootstrap": 20}
    path.write_text(yaml.safe_dump(content))
    return path


class Reader:
    """A newcomer at a shell, who types what the page says."""

    def __init__(self, folder: Path, preset: Path) -> None:
        self.folder = folder
        self.preset = preset
        self.fill: dict[str, str] = {}
        shim = folder / "bin" / "signetflow"
        shim.parent.mkdir(parents=True)
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m flows.cli "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIGNETFLOW_")}
        self.environment = {
            **kept, "PATH": f"{shim.parent}:{kept['PATH']}", "PYTHONPATH": str(ROOT),
            "SIGNETFLOW_WORKSPACE": str(folder / "workspace"),
        }  # fmt: skip

    def type(self, block: str) -> str:
        """Run a block; only the preset and the words in capitals are replaced."""
        for word, value in {PRESET: str(self.preset), **self.fill}.items():
            block = block.replace(word, value)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ask(self, command: str):
        return json.loads(self.type(f"signetflow {command} --json"))


def reviewed(folder: Path) -> str:
    """Do what a person does in QuPath: move a found cell, call it right, and export all."""
    taken = ""
    (folder / "reviewed").mkdir()
    for path in sorted((folder / "for_qupath").glob("*-positive.geojson")):
        content = json.loads(path.read_text())
        for one in content["features"]:
            told = one["properties"]["classification"]
            if not taken and told["name"] == "pseudo":
                told["name"], taken = "Signet ring cell", str(one["id"])
                ring = one["geometry"]["coordinates"][0]
                one["geometry"]["coordinates"][0] = [[x + 2, y + 1] for x, y in ring]
        (folder / "reviewed" / path.name).write_text(json.dumps(content))
    assert taken, "the networks found no cell"
    return taken


def test_the_page_is_made_of_commands_that_are_known():
    assert len(BLOCKS) == 10
    commands = [line for block in BLOCKS for line in block.splitlines() if "signetflow" in line]
    verbs = {" ".join(line.split()[1:3]) for line in commands}
    assert {
        "demo --size", "ingest geojson", "ingest slides", f"plan {PRESET}", f"run {PRESET}",
        "report latest", "labels log", "labels export", "labels import", "predict new/*.svs",
    } < verbs  # fmt: skip


@pytest.mark.slow
def test_every_command_of_the_page_works_in_its_order(tmp_path, demo):
    """The slides that the first of them would draw are those of the demo of the other tests."""
    person = Reader(tmp_path, fewer_steps(tmp_path / "few-steps.yaml"))
    (tmp_path / "play").symlink_to(demo.at.root)
    at = Workspace(tmp_path / "workspace")
    export, draw, annotated, normal, run, report, labels, correct, again, predict = BLOCKS

    person.type(export + draw)
    assert len(list((tmp_path / "slides").glob("*.svs"))) == 5
    person.type(annotated)
    person.type(normal)
    before = open_catalogue(at, latest(at, "mine"))
    assert [one.rest for one in before.items].count(Role.NEGATIVE) == 6
    assert [known.role for one in before.items for known in one.windows] == [Role.POSITIVE] * 5

    assert "run" in person.type(run)
    person.type(report)
    assert "<html" in (tmp_path / "report.html").read_text()[:2000]

    grown = person.ask("labels log")["versions"]
    person.fill["VERSION"] = max(grown, key=lambda one: one["n_cells"].get("pseudo", 0))["digest"]
    assert "annotations" in person.type(labels)
    names = {path.name for path in (tmp_path / "for_qupath").iterdir()}
    assert {f"organ0{n}-slide00-positive.geojson" for n in range(5)} < names

    taken = reviewed(tmp_path)
    corrected = person.type(correct)
    assert "0 cells added, 1 moved" in corrected
    assert person.type(correct) == corrected  # the same version once more
    person.type(again)
    after = open_catalogue(at, latest(at, "mine"))
    assert {one.name for one in after.items} == {one.name for one in before.items}
    ids = {i for one in after.items for i in after.annotations(one.name).ids.tolist()}
    old = {i for one in before.items for i in before.annotations(one.name).ids.tolist()}
    assert ids == old | {taken}
    for one in before.items:
        kept = before.annotations(one.name)
        same = after.annotations(one.name)
        mine = same.take(same.ids != taken)
        assert sorted(mine.boxes.tolist()) == sorted(kept.boxes.tolist())

    rows = person.ask("report latest")["rows"]
    person.fill["CHECKPOINT"] = max(rows, key=lambda row: row["fps"])["checkpoint"][:12]
    person.type(predict)
    (packed,) = (tmp_path / "found").iterdir()
    assert packed.name == "organ05-slide00-positive.svs.geojson.gz"
    found = list(read_objects(packed, "organ05-slide00-positive"))
    assert all(isinstance(one, Drawn) and one.by_program for one in found)
