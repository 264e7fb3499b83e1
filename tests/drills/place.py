"""A workspace that a run works in: where the run is, and all that it must end with."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.artefacts import MANIFEST, manifest_of
from storage.checkpoints import WEIGHTS
from storage.layout import Kind, Ref, Workspace

ROOT = Path(__file__).resolve().parents[2]
TRACKING = "tracking"
LONGEST_RUN_S = 600
PRESET: dict[str, Any] = {
    "name": "drill", "dataset": "drill", "folds": [0], "seeds": [0], "arms": ["self"],
    "networks": {"residual": {"family": "tiny_resnet"}},
    "tiles": {"mpp": 0.5, "region_px": 128},
    "training": {
        "crop_px": 64, "batch": 2, "epochs": 2, "steps_per_epoch": 25, "learning_rate": 0.003,
        "validate_every": 1, "save_every_s": 0.1,
    },
    "merging": {"minimum_area_px": 16},
    "self_training": {"rounds": 1, "threshold": 0.5, "epochs": 1},
    "cooperative": {"rounds": 1, "threshold": 0.5, "first_epochs": 0, "epochs": 1},
    "windows": {"window_px": 128, "overlap_px": 32},
    "evaluation": {"bootstrap": 50_000},
    "runtime": {"device": "cpu", "threads": 1},
}  # fmt: skip
"""The smallest run that has every kind of stage: ten of them, in about six seconds. It draws many
resamples for the evaluation to take long enough to be killed in it on a quick machine, too."""


@dataclass(frozen=True)
class Made:
    """One finished stage, as the ledger has it."""

    name: str
    key: str
    ref: Ref
    seconds: float


@dataclass(frozen=True)
class Moment:
    """Where a run is."""

    held: frozenset[str]
    """Locks that it holds: keys of stages under way, and ``tracking`` while MLflow is told."""
    recorded: frozenset[str]
    """Keys of the stages that are done."""
    committing: tuple[Kind, ...]
    """Kinds of artefact that are between their manifest and their name."""


@dataclass(frozen=True)
class Workplace:
    """A workspace that a run works in, and how to run it."""

    at: Workspace
    preset: Path
    environment: dict[str, str]

    @property
    def words(self) -> list[str]:
        """Return the command."""
        return [sys.executable, "-m", "flows.cli", "run", str(self.preset),
                "--workspace", str(self.at.root), "--json"]  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        """Start the command as the leader of a process group."""
        with (self.at.root / "drill.log").open("a") as log:
            return subprocess.Popen(
                self.words, cwd=ROOT, env=self.environment, start_new_session=True,
                stdout=log, stderr=log, text=True,
            )  # fmt: skip

    def moved(self, root: Path) -> Workplace:
        """Return the same after the whole workspace was moved to another path."""
        return replace(self, at=Workspace(self.at.root.rename(root)))

    def finish(self) -> dict[str, Any]:
        """Run to the end and return the answer."""
        done = subprocess.run(
            self.words, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
            timeout=LONGEST_RUN_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def ask(self, query: str) -> list[Any]:
        """Ask the ledger, without disturbing anybody; nothing where there is none yet."""
        address = f"file:{self.at.ledger / 'ledger.db'}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []

    def stages(self) -> list[Made]:
        """Return what is recorded, in the order in which it was made."""
        rows = self.ask("SELECT name, key, kind, digest, seconds FROM stages ORDER BY started")
        return [Made(r[0], r[1], Ref(Kind(r[2]), r[3]), r[4]) for r in rows]

    def forget(self, key: str) -> None:
        """Take a stage out of the ledger, as if it had never been done; nothing may run."""
        with closing(sqlite3.connect(self.at.ledger / "ledger.db")) as connection, connection:
            connection.execute("DELETE FROM stages WHERE key = ?", (key,))

    def moment(self) -> Moment:
        """Return where the run is."""
        recorded = frozenset(key for (key,) in self.ask("SELECT key FROM stages"))
        folders = self.at.root.glob("*/.draft-*")
        drafts = tuple(Kind(one.parent.name) for one in folders if (one / MANIFEST).exists())
        return Moment(self.held(), recorded, drafts)

    def held(self) -> frozenset[str]:
        """Return the locks that some process holds, as the kernel lists them."""
        paths = [*(self.at.ledger / "locks").glob("*.lock"), self.at.ledger / "tracking.lock"]
        names = {str(path.stat().st_ino): path.stem for path in paths if path.exists()}
        fields = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        inodes = [one[5].rpartition(":")[2] for one in fields if one[1] == "FLOCK"]
        return frozenset(names[inode] for inode in inodes if inode in names)

    def ends(self) -> dict[str, str]:
        """Return everything that must be equal to that of a run never killed, by its name."""
        labels = (self.at.root / Kind.LABELS).glob(f"[0-9a-f]*/{MANIFEST}")
        found = {f"label version {path.parent.name}": "is there" for path in labels}
        for one in self.stages():
            if one.ref.kind is Kind.REPORT:
                found |= _timeless(self.at.path(one.ref), one.key)
                continue
            found[f"{one.name} {one.key}"] = str(one.ref)
            if one.ref.kind is Kind.CHECKPOINT:
                weights = manifest_of(self.at, one.ref)["files"][WEIGHTS]["sha256"]
                found[f"weights {one.key}"] = weights
        return found

    def told(self) -> dict[str, Any]:
        """Return what MLflow shows: the runs and how they stand, and how many metrics they have."""
        with closing(sqlite3.connect(self.at.root / "mlflow.db")) as connection:
            runs = connection.execute(
                "SELECT name, status, (SELECT COUNT(*) FROM metrics WHERE run_uuid = r.run_uuid) "
                "FROM runs AS r WHERE lifecycle_stage = 'active' ORDER BY name"
            ).fetchall()
        return {"runs": runs}


def _timeless(folder: Path, key: str) -> dict[str, str]:
    """Return the files of a report; pages say when they were made, tables and settings do not."""
    found = {f"report {key} {path.name}": "is there" for path in folder.iterdir()}
    for name in ("table.json", "config.json"):
        found[f"report {key} {name}"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return found


def differing(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Return what is not equal, by its name."""
    pairs = {name: (found.get(name), expected.get(name)) for name in {*found, *expected}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def environment(server: str = "") -> dict[str, str]:
    """Return the environment of a user who has set nothing but, maybe, a Prefect server."""
    kept = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "SIGNETFLOW_", "COV_", "COVERAGE_"))
    }  # fmt: skip
    quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    return kept | quiet | ({"PREFECT_API_URL": server} if server else {})
