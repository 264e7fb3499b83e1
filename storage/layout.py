"""Where things lie in a workspace, and how one artefact is named."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from models.errors import WorkspaceError

MINIMUM_FREE_BYTES = 64 * 2**20
CARD = "card.json"
"""The file of a checkpoint or a card that says what it is and what came out."""


class Kind(StrEnum):
    """The kinds of artefact; the value is the folder that holds them."""

    DATASET = "datasets"
    REGIONS = "regions"
    LABELS = "labels"
    CHECKPOINT = "checkpoints"
    DETECTIONS = "detections"
    CARD = "cards"
    REPORT = "reports"


WITH_CARD = (Kind.CARD, Kind.CHECKPOINT)
"""Kinds of artefact whose card may decide how a run goes on: it is read even to plan."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One artefact: its kind and the digest of its content (32 hex digits), never a path."""

    kind: Kind
    digest: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.digest}"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder on a POSIX filesystem of one host."""

    root: Path

    @property
    def ledger(self) -> Path:
        """Return the folder of the ledger, locks, outbox and unfinished work."""
        return self.root / "ledger"

    @property
    def mlflow_uri(self) -> str:
        """Return the embedded tracking store."""
        return f"sqlite:///{(self.root / 'mlflow.db').absolute()}"

    @property
    def mlflow_artefacts(self) -> Path:
        """Return the folder of the embedded tracking store's files."""
        return self.root / "mlartifacts"

    @property
    def prefect_home(self) -> Path:
        """Return the home of the embedded Prefect server."""
        return self.root / "prefect"

    def path(self, ref: Ref) -> Path:
        """Return where an artefact lies, or would lie."""
        return self.root / ref.kind / ref.digest

    def require_writable(self) -> None:
        """Create the workspace if need be, and prove that it can be written.

        Raises
        ------
        WorkspaceError
            If the folder cannot be created or written, or its disk is nearly full.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b"signetflow")
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise WorkspaceError(
                f"{self.root}: the workspace cannot be written ({error.strerror}). "
                f"Give a writable folder with --workspace or SIGNETFLOW_WORKSPACE."
            ) from error
        if free < MINIMUM_FREE_BYTES:
            raise WorkspaceError(
                f"{self.root}: only {free / 2**20:.0f} MiB are free, at least "
                f"{MINIMUM_FREE_BYTES // 2**20} MiB are needed. Make room or move the workspace."
            )


def default_root() -> Path:
    """Return the workspace that a command uses when none is named."""
    return Path(os.environ.get("SIGNETFLOW_WORKSPACE", "workspace"))
