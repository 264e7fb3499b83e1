"""Backups while a retraining writes, others back up and others clean: what they hold is whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from models.errors import BusyError
from storage.backup import back_up, read_backup
from storage.labels.verify import verify, version_refs
from storage.layout import Workspace
from storage.ledger import Ledger
from storage.restore import restore
from storage.retention import Rules, tidy
from tests.drills.place import PRESET, ROOT, Workplace

if TYPE_CHECKING:
    from pathlib import Path

    from storage.backup import Backup

pytestmark = pytest.mark.slow
WITHIN_S = 300


def quiet(done: int, total: int) -> None:
    """Show no progress."""


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Return a workspace with a dataset, and the command of a retraining of it."""
    from storage.datasets.catalogue import register
    from storage.datasets.synthetic.reader import SyntheticReader
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.datasets.synthetic.slides import make_dataset

    at, slides, preset = Workspace(tmp_path / "at"), tmp_path / "slides", tmp_path / "drill.yaml"
    settings = SyntheticSettings(
        seed=0, organs=6, positive_slides=1, negative_slides=1, negative_windows=1, window_px=256
    )
    make_dataset(slides, settings)
    register(at, SyntheticReader(slides).items(), name="drill", group_by=("organ", "slide"))
    training = PRESET["training"] | {"epochs": 1, "steps_per_epoch": 10}
    quick = {"training": training, "evaluation": {"bootstrap": 50}}
    preset.write_text(yaml.safe_dump(PRESET | quick))
    unset = {"PREFECT_API_URL", "MLFLOW_TRACKING_URI", "SIGNETFLOW_WORKSPACE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return Workplace(at, preset, environment | {"OMP_NUM_THREADS": "1"})


def backed_up(place: Workplace, to: Path) -> subprocess.Popen[str]:
    """Start the command."""
    words = ["ops", "backup", str(to), "--without-databases", "--workspace", str(place.at.root)]
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words], cwd=ROOT, env=place.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def clean(at: Workspace, stop: threading.Event, met: list[str]) -> None:
    """Clean again and again, as somebody impatient would."""
    while not stop.wait(0.05):
        try:
            tidy(at, Rules(keep_runs=1, unfinished_days=0.0))
        except BusyError:
            met.append("busy")
        else:
            met.append("alone")


def save_all_along(place: Workplace, folder: Path) -> list[Backup]:
    """Return what was saved while a retraining ran from its first stage to its end."""
    made: list[Backup] = []
    run = place.start()
    try:
        deadline = time.monotonic() + WITHIN_S
        while run.poll() is None:
            assert time.monotonic() < deadline
            made.append(back_up(place.at, folder / f"saved-{len(made)}", {}, quiet))
            time.sleep(1.0)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert run.returncode == 0, (place.at.root / "drill.log").read_text()
    return made


def test_what_is_saved_beside_a_retraining_and_a_cleaner_is_whole_and_goes_on(
    place: Workplace, tmp_path: Path
) -> None:
    stop, met = threading.Event(), list[str]()
    cleaner = threading.Thread(target=clean, args=(place.at, stop, met))
    cleaner.start()
    try:
        saved = save_all_along(place, tmp_path)
    finally:
        stop.set()
        cleaner.join()
    assert "busy" in met
    assert len(saved) > 2
    stages = []
    chosen = [saved[0], saved[len(saved) // 3], saved[len(saved) // 2], saved[-1]]
    for number, made in enumerate(chosen):
        there = Workspace(tmp_path / f"restored-{number}")
        restore(read_backup(made.path), there, {}, quiet)
        assert made.harm == ()
        assert verify(there, version_refs(there)).findings == []
        runs = Ledger(there).runs()
        stages.append(sum(len(Ledger(there).stages_of(run.run_id)) for run in runs))
    assert stages == sorted(stages)
    middle = Workspace(tmp_path / "restored-2")
    again = Workplace(middle, place.preset, place.environment)
    again.finish()
    differs = {name for name in place.ends() if "report" not in name.split("/")[0]}
    assert {name: again.ends()[name] for name in differs} == {
        name: place.ends()[name] for name in differs
    }


def test_of_two_that_save_to_one_place_one_is_refused_and_the_other_is_whole(
    place: Workplace, tmp_path: Path
) -> None:
    (place.at.root / "much").mkdir()
    for number in range(40):
        (place.at.root / "much" / str(number)).write_bytes(os.urandom(2_000_000))
    both = [backed_up(place, tmp_path / "saved") for _ in range(2)]
    said = [one.communicate(timeout=WITHIN_S)[0] for one in both]
    assert min(one.returncode for one in both) == 0
    (refused,) = [text for one, text in zip(both, said, strict=True) if one.returncode]
    (other,) = [one.pid for one in both if not one.returncode]
    assert f"process {other} makes it just now" in refused or "is there" in refused
    there = Workspace(tmp_path / "restored")
    restore(read_backup(tmp_path / "saved"), there, {}, quiet)
    assert len(list((there.root / "much").iterdir())) == 40
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    shutil.rmtree(there.root)
