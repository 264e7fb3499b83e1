"""A small dataset and a Prefect server for runs that are killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from storage.layout import Workspace
from tests.drills.place import PRESET, ROOT, Workplace, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = """
import sys
from pathlib import Path
from flows.server import prefect_server
from storage.layout import Workspace
with prefect_server(Workspace(Path(sys.argv[1]))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Ground:
    """A workspace before its first run, to copy; and the address of a Prefect server."""

    at: Workspace
    server: str

    def workplace(self, folder: Path, **changes: Any) -> Workplace:
        """Return a workspace of its own with a preset."""
        at = Workspace(folder / "workspace")
        shutil.copytree(self.at.root, at.root, symlinks=True)
        preset = folder / "drill.yaml"
        preset.write_text(yaml.safe_dump(PRESET | changes))
        return Workplace(at, preset, environment(self.server))

    def beside(self, place: Workplace, preset: Path, threshold: float) -> Workplace:
        """Return another run in the workspace of one, with other rounds."""
        rounds = PRESET["self_training"] | {"threshold": threshold}
        preset.write_text(yaml.safe_dump(PRESET | {"self_training": rounds}))
        return Workplace(place.at, preset, place.environment)


@pytest.fixture(scope="session")
def drill_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return a workspace with a dataset, and a Prefect server that no drill kills."""
    from storage.datasets.catalogue import register
    from storage.datasets.synthetic.reader import SyntheticReader
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.datasets.synthetic.slides import make_dataset

    folder = tmp_path_factory.mktemp("drill")
    at = Workspace(folder / "workspace")
    slides = at.root / "slides" / "drill"
    settings = SyntheticSettings(
        seed=0, organs=6, positive_slides=1, negative_slides=1, negative_windows=1, window_px=256
    )
    make_dataset(slides, settings)
    register(at, SyntheticReader(slides).items(), name="drill", group_by=("organ", "slide"))
    with _server(folder / "server") as url:
        yield Ground(at, url)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)], cwd=ROOT, env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=60)
