"""A run that is killed in the middle of its trainings, with all its processes, and run again."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from storage.artefacts import manifest_of
from storage.checkpoints import WEIGHTS
from storage.layout import Kind, Ref, Workspace

WORDS = (
    "tiny", "--set", "dataset=tiny-0", "--set", "arms=[self]",
    "--set", "networks={residual: {family: tiny_resnet}}", "--set", "training.save_every_s=0",
    "--set", "self_training.epochs=3",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.server
def test_a_killed_run_ends_with_the_labels_and_weights_of_one_never_killed(
    demo, tmp_path, signetflow
):
    ends = {}
    for name, n_kills in (("undisturbed", 0), ("killed", 2)):
        root = tmp_path / name
        done = signetflow(
            "ingest", "synthetic", demo.at.root / "slides" / "tiny-0", "--name", "tiny-0",
            "--workspace", root,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen: set[str] = set()
        for _ in range(n_kills):
            _kill_in_the_middle_of_a_training(root, seen)
        assert len(seen) == n_kills
        done = signetflow("run", *WORDS, "--workspace", root, "--json")
        assert done.returncode == 0, done.stderr
        ends[name] = _digests(Workspace(root)) | {"rows": json.loads(done.stdout)["rows"]}
    assert ends["killed"] == ends["undisturbed"]


def _kill_in_the_middle_of_a_training(root, seen):
    """Start the run, and kill all of it once a training has done some steps."""
    with (root / "killed.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "run", *WORDS, "--workspace", str(root)],
            start_new_session=True, stdout=log, stderr=log,
        )  # fmt: skip
    deadline = time.monotonic() + 300
    while not (trained := _trainings_under_way(root) - seen):
        assert process.poll() is None, (root / "killed.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    seen.add(trained.pop())


def _trainings_under_way(root):
    found = set()
    for pointer in (root / "ledger" / "unfinished").glob("*/current"):
        try:
            card = json.loads((pointer.parent / pointer.read_text() / "card.json").read_text())
        except (OSError, ValueError):
            continue  # it is being written
        if card["step"] >= 5:
            found.add(pointer.parent.name)
    return found


def _digests(at):
    """Return all label versions, and the hash of the weights of every checkpoint."""
    checkpoints = [Ref(Kind.CHECKPOINT, path.name) for path in (at.root / "checkpoints").iterdir()
                   if not path.name.startswith(".")]  # fmt: skip
    return {
        "labels": sorted(path.parent.name for path in (at.root / "labels").glob("*/MANIFEST.json")),
        "weights": {
            ref.digest: manifest_of(at, ref)["files"][WEIGHTS]["sha256"] for ref in checkpoints
        },
    }
