"""Checkpoints: tensors as safetensors, everything else as a JSON card; nothing is pickled."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import IntegrityError, NotFoundError, WorkspaceError, WrongUseError
from storage.artefacts import (
    canonical_json,
    commit,
    draft,
    hash_file,
    opened,
    storing,
    sync,
    write_whole,
)
from storage.champion import NAMES, standing
from storage.layout import CARD as CARD  # here is where its readers look for it
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

WEIGHTS = "weights.safetensors"
CURRENT = "current"
"""In unfinished work: which of two folders holds what was saved last."""

logger = logging.getLogger(__name__)


def save_checkpoint(at: Workspace, state: dict[str, Tensor], card: dict[str, Any]) -> Ref:
    """Store a network's weights and how they came about."""
    with draft(at, Kind.CHECKPOINT) as work:
        _write_tensors({name: t.contiguous() for name, t in state.items()}, work.path / WEIGHTS)
        (work.path / CARD).write_text(canonical_json(card))
        return commit(at, Kind.CHECKPOINT, work)


def find_checkpoint(at: Workspace, text: str) -> Ref:
    """Return the checkpoint whose digest begins so, or that is champion or challenger.

    Raises
    ------
    NotFoundError
        If there is none.
    WrongUseError
        If several begin like that.
    """
    for name in NAMES:
        known = standing(at, name) if text == name else None
        if known:
            return known.ref
    folder = at.root / Kind.CHECKPOINT
    found = sorted(path.parent.name for path in folder.glob(f"[0-9a-f]*/{CARD}"))
    matching = [digest for digest in found if digest.startswith(text)] if text else []
    if not matching:
        raise NotFoundError(
            f"{at.root}: no checkpoint begins with {text!r} among {len(found)}. The table of "
            f"signetflow report --json names the checkpoint of each row."
        )
    if len(matching) > 1:
        short = ", ".join(digest[: len(text) + 4] for digest in matching[:3])
        raise WrongUseError(f"{len(matching)} checkpoints begin with {text}: {short}; give more.")
    return Ref(Kind.CHECKPOINT, matching[0])


def load_state(at: Workspace, ref: Ref) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, on the CPU.

    Raises
    ------
    IntegrityError
        If the file is altered, or no safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = opened(at, ref) / WEIGHTS
    try:
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, LookupError, MemoryError) as error:
        raise IntegrityError(
            f"{path}: no weights ({' '.join(str(error).split())[:200]}). The checkpoint was made "
            f"by something else or is damaged; run the same command again to make it anew."
        ) from error
    return state


def load_card(at: Workspace, ref: Ref) -> dict[str, Any]:
    """Return what a checkpoint's card, or any other card, says."""
    card: dict[str, Any] = json.loads((opened(at, ref, only=CARD) / CARD).read_text())
    return card


def save_card(at: Workspace, card: dict[str, Any]) -> Ref:
    """Store a small JSON result: a round's verdict, an evaluation."""
    with draft(at, Kind.CARD) as work:
        (work.path / CARD).write_text(canonical_json(card))
        return commit(at, Kind.CARD, work)


def _write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path)
    except (SafetensorError, OSError) as error:
        raise WorkspaceError(
            f"{path.parent}: weights cannot be written ({error}). Make room or mend the "
            f"permissions, then run the same command again."
        ) from error


@dataclass(frozen=True, slots=True)
class UnfinishedWork:
    """The state of a stage that is under way, so that a kill costs at most a minute.

    Implements the `StateSink` protocol of training.
    """

    folder: Path

    @classmethod
    def of(cls, at: Workspace, key: str) -> UnfinishedWork:
        """Return the place for one stage's unfinished work."""
        return cls(at.ledger / "unfinished" / key)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the tensors and the card that were saved last, or None."""
        from safetensors import SafetensorError

        if not (self.folder / CURRENT).exists():
            return None
        try:
            return self._loaded()
        except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
            logger.warning("%s is damaged (%s): the stage starts anew.", self.folder, error)
            return None

    def _loaded(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        from safetensors.torch import load_file

        saved = self.folder / (self.folder / CURRENT).read_text()
        kept = json.loads((saved / CARD).read_text())
        if hash_file(saved / WEIGHTS) != kept["sha256"]:
            raise ValueError(f"{WEIGHTS} was altered since it was saved")
        return load_file(saved / WEIGHTS), kept["card"]

    def save(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Replace what was saved; a kill at any moment leaves the old or the new, whole.

        Raises
        ------
        WorkspaceError
            If the disk is full or cannot be written.
        """
        current = self.folder / CURRENT
        with storing(self.folder, "unfinished work"):
            old = current.read_text() if current.exists() else ""
            fresh = self.folder / ("b" if old == "a" else "a")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            _write_tensors(tensors, fresh / WEIGHTS)
            kept = {"card": card, "sha256": hash_file(fresh / WEIGHTS)}
            (fresh / CARD).write_text(canonical_json(kept))
            for path in (fresh / WEIGHTS, fresh / CARD, fresh):
                sync(path)
            write_whole(current, fresh.name)

    def clear(self) -> None:
        """Forget the unfinished work once its stage is recorded."""
        shutil.rmtree(self.folder, ignore_errors=True)
