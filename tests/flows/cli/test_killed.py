"""A run that is killed in the middle of its trainings, with all its processes, and run again."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flows.cli.output import INTERRUPTED
from storage.artefacts import manifest_of
from storage.checkpoints import WEIGHTS
from storage.layout import Kind, Ref, Workspace

WORDS = (
    "tiny", "--set", "dataset=tiny-0", "--set", "arms=[self]",
    "--set", "training.save_every_s=0", "--set", "self_training.epochs=3",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.server
def test_a_run_that_was_killed_twice_ends_with_the_labels_and_weights_of_one_never_killed(
    demo, tmp_path, signetflow
):
    ends = {}
    for name, signals in (("undisturbed", ()), ("killed", (signal.SIGINT, signal.SIGKILL))):
        root = tmp_path / name
        done = signetflow(
            "ingest", "synthetic", demo.at.root / "slides" / "tiny-0", "--name", "tiny-0",
            "--workspace", root,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for how in signals:
            end_in_the_middle_of_a_training(root, how)
        done = signetflow("run", *WORDS, "--workspace", root, "--json")
        assert done.returncode == 0, done.stderr
        ends[name] = _digests(Workspace(root)) | {"rows": json.loads(done.stdout)["rows"]}
    assert ends["killed"] == ends["undisturbed"]


def end_in_the_middle_of_a_training(root, how):
    """Run until a training has done some steps, then end all of it."""
    before = _steps_of_trainings(root)
    with (root / "ended.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "run", *WORDS, "--workspace", str(root)],
            start_new_session=True, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not _went_on(before, _steps_of_trainings(root)):
            assert process.poll() is None, (root / "ended.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, how)  # as a terminal does with Ctrl-C
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if how == signal.SIGINT:
        assert process.wait(60) == INTERRUPTED
        said = (root / "ended.log").read_text()
        assert said.splitlines()[-1].startswith("error: interrupted; run the same command again")
        assert "Traceback" not in said
    else:
        assert process.wait(60) == -how
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def _went_on(before, now):
    return any(step >= before.get(key, 0) + 5 for key, step in now.items())


def _steps_of_trainings(root):
    """Return how many steps each unfinished training has done, by the key of its stage."""
    steps = {}
    for pointer in (root / "ledger" / "unfinished").glob("*/current"):
        try:
            card = json.loads((pointer.parent / pointer.read_text() / "card.json").read_text())
        except (OSError, ValueError):
            continue  # it is being written
        steps[pointer.parent.name] = card["card"]["step"]
    return steps


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
