"""Help, settings and plans answer at once: what is heavy is imported where it is needed."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "segmentation_models_pytorch", "timm", "mlflow", "zarr", "prefect", "dask")
HELP_LIMIT_S = 1.5
"""Three times what is promised: the machine that tests is rarely idle."""

ALL_HELP = """
import contextlib, io, json, sys
from typer.main import get_command
from flows.cli import app, main

def walk(command, path=()):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))

answers = {}
for path in walk(get_command(app)):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = main([*path, "--help"])
    heavy = [name for name in sys.argv[1:] if name in sys.modules]
    answers[" ".join(path)] = [code, text.getvalue(), heavy]
print(json.dumps(answers))
"""
ALL_SETTINGS = """
import importlib, sys
for name in sys.stdin.read().split():
    importlib.import_module(name)
    heavy = [module for module in sys.argv[1:] if module in sys.modules]
    if heavy:
        sys.exit(f"{name} imports {heavy}")
"""


def python(code, *words, text=""):
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        input=text, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def answers():
    done = python(ALL_HELP, *HEAVY)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_command_has_help_that_teaches(answers):
    promised = ["demo", "ingest", "run", "plan", "status", "labels", "evaluate", "predict",
                "report", "doctor"]  # fmt: skip
    assert set(promised) <= set(answers)
    for command, (code, text, _) in answers.items():
        assert code == 0, command
        assert "--help" in text, command
        assert len(text.splitlines()) > 6, command


def test_no_help_imports_what_is_heavy(answers):
    assert {command: heavy for command, (_, _, heavy) in answers.items() if heavy} == {}


def test_every_settings_module_is_light():
    files = [
        path
        for folder in ("models", "storage", "flows", "tasks")
        for path in (ROOT / folder).rglob("*settings.py")
    ]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    assert "models.training.settings" in names
    done = python(ALL_SETTINGS, *HEAVY, text="\n".join([*names, "flows.config"]))
    assert done.returncode == 0, done.stderr


def test_the_check_for_heavy_imports_sees_one():
    assert python(ALL_SETTINGS, *HEAVY, text="storage.arrays").stderr.startswith("storage.arrays")


PLAN = """
import sys
from flows.cli import main
code = main(["plan", "tiny", "--set", "dataset=cells", "--json", "--workspace", sys.argv[1]])
heavy = [name for name in sys.argv[2:] if name in sys.modules]
sys.exit(code or (f"plan imports {heavy}" if heavy else 0))
"""


@pytest.fixture
def workspace(tmp_path):
    """A workspace with a dataset of one image."""
    document = {
        "images": [{"id": 1, "file_name": "one.png", "width": 64, "height": 64}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 20, 20]}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "cells.json").write_text(json.dumps(document))
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    command = ["ingest", "coco", str(tmp_path / "cells.json"), "--workspace", str(tmp_path / "at")]
    done = python("import sys; from flows.cli import main; sys.exit(main(sys.argv[1:]))", *command)
    assert done.returncode == 0, done.stderr
    return tmp_path / "at"


def test_a_plan_asks_the_ledger_and_imports_nothing_heavy(workspace):
    # What `run` does when every stage is finished is this, and to show the table.
    done = python(PLAN, str(workspace), *HEAVY)
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert {"extract", "train", "predict", "relabel", "judge", "report"} <= {
        stage["stage"] for stage in stages
    }


def test_help_answers_at_once():
    command = [sys.executable, "-m", "flows.cli", "--help"]
    fastest = min(_cpu_seconds(command) for _ in range(3))
    assert fastest < HELP_LIMIT_S


def _cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env=_uncovered(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _uncovered():
    """Return the environment without the measurement of coverage, which is slow to start."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}
