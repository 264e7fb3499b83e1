"""Names that people give to label versions, and every move of each name.

The file of a tag, ``labels/tags/<name>``, holds one line of JSON for each move; where the last one
leads is where the tag points. So a tag and its history change at once, or not at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from models.errors import IntegrityError, NotFoundError, WrongUseError
from storage.artefacts import canonical_json, storing, write_whole
from storage.labels.schema import VERSION
from storage.layout import Kind, Ref, Workspace
from storage.locks import exclusive, shared

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{4,32}")
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Move:
    """A tag that was set, moved or removed."""

    tag: str
    before: str | None
    """Digest of the version that it named; None if it was new."""
    after: str | None
    """Digest of the version that it names since; None if it was removed."""
    when: str
    """ISO 8601, UTC."""
    who: str
    """Name of the user, empty where nobody said."""


def tag(at: Workspace, name: str, ref: Ref, who: str = "") -> Move | None:
    """Give a version a name, or move the name to it.

    Returns
    -------
    Move or None
        What was written down; None if the name stood there already.

    Raises
    ------
    WrongUseError
        If the name could be mistaken for a digest or a path.
    NotFoundError
        If there is no such version.
    """
    if not _NAME.fullmatch(name) or _DIGEST.fullmatch(name):
        raise WrongUseError(
            f"{name!r} cannot be a tag: use small letters, digits, - and _, beginning with a "
            f"letter, and not only the letters a to f."
        )
    if not (at.path(ref) / VERSION).is_file():
        raise NotFoundError(f"label version {ref.digest[:8]} is not in {at.root}: nothing to tag.")
    return _moved(at, name, ref.digest, who)


def untag(at: Workspace, name: str, who: str = "") -> Move:
    """Remove a name; the version stays, and so does the log of the name's moves.

    Raises
    ------
    NotFoundError
        If there is no such tag.
    """
    move = _moved(at, name, None, who) if _NAME.fullmatch(name) else None
    if move is None:
        raise NotFoundError(f"no tag {name!r} in {at.root}; 'signetflow labels tag' lists them.")
    return move


def tags(at: Workspace) -> dict[str, Ref]:
    """Return where each tag points, by name."""
    last = {name: tagged(at, name) for name in _names(at)}
    return {name: ref for name, ref in last.items() if ref}


def tagged(at: Workspace, name: str) -> Ref | None:
    """Return where a tag points, None if there is no such tag."""
    history = _history(at, name) if _NAME.fullmatch(name) else []
    digest = history[-1].after if history else None
    return Ref(Kind.LABELS, digest) if digest else None


def moves(at: Workspace) -> tuple[Move, ...]:
    """Return every move of every tag, the oldest first; removed tags too."""
    every = (move for name in _names(at) for move in _history(at, name))
    return tuple(sorted(every, key=lambda move: move.when))


def _moved(at: Workspace, name: str, digest: str | None, who: str) -> Move | None:
    path = _folder(at) / name
    # Shared: gc, which asks what is tagged, has the workspace for itself.
    with storing(at.root, "a tag"), shared(at):
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.parent / _LOCK):
            history = _history(at, name)
            before = history[-1].after if history else None
            if before == digest:
                return None
            now = datetime.now(UTC).isoformat(timespec="microseconds")
            history.append(Move(name, before, digest, now, who))
            write_whole(path, "".join(f"{canonical_json(asdict(one))}\n" for one in history))
    return history[-1]


def _history(at: Workspace, name: str) -> list[Move]:
    path = _folder(at) / name
    try:
        lines = path.read_text().splitlines()
        # Before there was a log, the file held only the digest.
        return [
            Move(name, None, line, "", "") if _DIGEST.fullmatch(line) else Move(**json.loads(line))
            for line in lines
        ]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            f"{path}: no readable log of a tag. Move the file away and set the tag anew."
        ) from error


def _names(at: Workspace) -> list[str]:
    return sorted(path.name for path in _folder(at).glob("[a-z]*"))


def _folder(at: Workspace) -> Path:
    return at.root / Kind.LABELS / "tags"
