"""Which checkpoint is in use and which one asks to be: who made it so, when and why.

The log is the truth: one line for each change, the last of a name counts, nothing is ever taken
out. MLflow's aliases follow it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from models.errors import IntegrityError, NotFoundError
from storage.artefacts import canonical_json, sync
from storage.layout import Kind, Ref, Workspace
from storage.locks import exclusive

if TYPE_CHECKING:
    from pathlib import Path

Name = Literal["champion", "challenger"]
NAMES: tuple[Name, ...] = ("champion", "challenger")


@dataclass(frozen=True, slots=True)
class Standing:
    """One change of what a name stands for."""

    name: Name
    checkpoint: str
    """Digest of the checkpoint."""
    by: str
    """A person, or the rule."""
    reason: str
    at: str
    """ISO 8601, UTC."""

    @property
    def ref(self) -> Ref:
        """Return the reference to the checkpoint."""
        return Ref(Kind.CHECKPOINT, self.checkpoint)


def log_path(at: Workspace) -> Path:
    """Return the file of all changes."""
    return at.root / Kind.CHECKPOINT / "standings.jsonl"


def history(at: Workspace) -> tuple[Standing, ...]:
    """Return every change, the first first.

    Raises
    ------
    IntegrityError
        If the log cannot be read: nobody knows then what is in use.
    """
    path = log_path(at)
    if not path.exists():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(Standing(**json.loads(line)) for line in lines if line.strip())
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"{path}: cannot be read ({error}). Take its last good copy from a backup; it is the "
            f"only place that says which checkpoint is champion."
        ) from error


def standing(at: Workspace, name: Name) -> Standing | None:
    """Return what a name stands for now; None if it never stood for anything."""
    return next((one for one in reversed(history(at)) if one.name == name), None)


def stand(at: Workspace, name: Name, checkpoint: Ref, *, by: str, reason: str) -> Standing:
    """Let a name stand for a checkpoint from now on; the same again changes nothing."""
    with exclusive(at.ledger / "champion.lock"):
        known = standing(at, name)
        if known and known.checkpoint == checkpoint.digest:
            return known
        # Promoted and rolled back within a second are two changes, and two to be told of.
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        made = Standing(name, checkpoint.digest, by, reason, now)
        _append(log_path(at), made)
    return made


def roll_back(at: Workspace, *, by: str, reason: str) -> Standing:
    """Let the champion be the one that was champion before this one.

    Rolled back twice, it is the one before that: champions that were rolled back do not count.

    Raises
    ------
    NotFoundError
        If there was none before.
    """
    before = _before(history(at))
    if before is None:
        raise NotFoundError(
            f"{at.root}: there is no champion before this one; 'signetflow models list' shows all "
            f"that ever were."
        )
    return stand(at, "champion", before, by=by, reason=reason)


def _before(changes: tuple[Standing, ...]) -> Ref | None:
    """Return the champion below the present one on the stack of those that were not taken back."""
    stack: list[Standing] = []
    for one in changes:
        if one.name != "champion":
            continue
        if len(stack) > 1 and stack[-2].checkpoint == one.checkpoint:
            stack.pop()
        else:
            stack.append(one)
    return stack[-2].ref if len(stack) > 1 else None


def _append(path: Path, made: Standing) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8") as stream:
        stream.write(before + canonical_json(asdict(made)) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    sync(path.parent)
