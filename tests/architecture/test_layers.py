"""Each import contract of pyproject.toml holds, and fails on an import that breaks it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("flows", "tasks", "storage", "models")

PLANTED = {
    "layers": [
        ("tasks/trial.py", "flows.config"),
        ("storage/layout.py", "tasks.stage"),
        ("models/geometry/boxes.py", "storage.layout"),
        ("models/geometry/boxes.py", "flows.config"),
    ],
    "science": [
        ("models/training/loop.py", "models.methods.rounds"),
        ("models/training/loop.py", "models.prediction.windows"),
        ("models/merging/relabel.py", "models.training.settings"),
        ("models/instances/walker.py", "models.merging.identity"),
        ("models/metrics/froc.py", "models.losses.settings"),
        ("models/geometry/boxes.py", "models.metrics.pairs"),
        ("models/annotations.py", "models.geometry.boxes"),
        ("models/errors.py", "models.annotations"),
        ("models/new_folder/__init__.py", "models.errors"),
    ],
    "pure": [
        ("models/geometry/boxes.py", name)
        for name in ("prefect", "mlflow", "zarr", "dask.array", "tiffslide")
    ],
    "storage-science": [
        ("storage/labelled.py", "models.training.sampling"),
        ("storage/regions.py", "models.metrics.detection"),
        ("storage/labels/export.py", "models.merging.relabel"),
        ("storage/report/page.py", "models.runtime"),
    ],
    "storage-prefect": [("storage/ledger.py", "prefect.states")],
    "tracking": [("storage/ledger.py", "mlflow"), ("tasks/track.py", "mlflow.entities")],
}
"""By contract: a file and what it must not import."""


@pytest.fixture
def tree(tmp_path):
    """A copy of the code to plant imports in."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=lambda _, names: _not_code(names))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _not_code(names):
    return {name for name in names if "." in name and not name.endswith(".py")} | {"__pycache__"}


def broken(tree, contract):
    """Return the names of the contracts that do not hold."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache", "--contract", contract],
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Contracts: 1 kept" in done.stdout or "1 broken" in done.stdout, done.stdout
    assert (done.returncode == 0) == ("1 kept" in done.stdout)
    return done.returncode != 0


@pytest.mark.parametrize("contract", PLANTED)
def test_a_contract_holds_until_an_import_breaks_it(tree, contract):
    assert not broken(tree, contract)
    for name, module in PLANTED[contract]:
        file = tree / name
        file.parent.mkdir(exist_ok=True)
        before = file.read_text() if file.exists() else ""
        # Inside a function, where a look at the top of the file would miss it.
        file.write_text(f"{before}\n\ndef planted():\n    import {module}\n")
        assert broken(tree, contract), f"{name} may import {module}"
        file.write_text(before)
    assert set(PLANTED) == set(re.findall(r'^id = "(.*)"', _pyproject(), re.MULTILINE))


def test_an_import_for_type_checking_counts(tree):
    file = tree / "models/geometry/boxes.py"
    planted = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import zarr\n"
    file.write_text(file.read_text() + planted)
    assert broken(tree, "pure")


def test_of_the_science_only_hardware_and_weights_touch_files():
    # Everything else gets its data through protocols; a path in a signature would end that.
    touching = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "models").rglob("*.py")
        if re.search(r"^\s*(from|import) pathlib\b|\bopen\(", path.read_text(), re.MULTILINE)
    }
    assert touching <= {"models/runtime.py"}


def _pyproject():
    return (ROOT / "pyproject.toml").read_text()
