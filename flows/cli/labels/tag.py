"""``signetflow labels tag``: names for versions."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.labels.chosen import SHORT, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    from storage.labels.tags import Move
    from storage.layout import Workspace


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("tag")(tag)


def tag(
    name: Annotated[
        str | None, typer.Argument(help="Small letters, digits, - and _; without it, all tags.")
    ] = None,
    version: Annotated[
        str | None, typer.Argument(help="First digits of the version to name, or another tag.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the name; the version stays.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Name a version, move or remove a name, or list all names.

    A tag stands wherever a version is asked for, and keeps the version and all it grew from when
    the workspace is cleaned. Each move is written down, with who moved it and from where.

    Examples: signetflow labels tag gold 3f2a91c0; signetflow labels tag gold --remove;
    signetflow labels tag
    """
    from models.errors import WrongUseError

    if (name is None and remove) or (version is not None and remove):
        raise WrongUseError("--remove takes the name of one tag and no version.")
    at = workspace_at(workspace)
    if name is not None and (version is not None or remove):
        return _change(at, name, version, as_json=as_json)
    return _list(at, name, as_json=as_json)


def _change(at: Workspace, name: str, version: str | None, *, as_json: bool) -> int:
    from storage.labels import tags

    if version is None:
        move = tags.untag(at, name, _user())
    else:
        found = tags.tag(at, name, version_ref(at, version), _user())
        move = found or [one for one in tags.moves(at) if one.tag == name][-1]
    if as_json:
        write_json(_json(move))
    else:
        say(_sentence(move))
    return 0


def _list(at: Workspace, name: str | None, *, as_json: bool) -> int:
    from models.errors import NotFoundError
    from storage.labels import tags

    now = {one: ref.digest for one, ref in tags.tags(at).items() if name in (None, one)}
    moves = [move for move in tags.moves(at) if name in (None, move.tag)]
    if name is not None and not moves:
        raise NotFoundError(
            f"no tag {name!r} in {at.root}. Set it with: signetflow labels tag {name} VERSION"
        )
    if as_json:
        write_json({"tags": now, "moves": [_json(move) for move in moves]})
        return 0
    if not moves:
        say(f"No tags in {at.root} yet. Set one with: signetflow labels tag NAME VERSION")
        return 0
    table("tags", ["tag", "version"], [[one, digest[:SHORT]] for one, digest in now.items()])
    rows = [[m.when[:19], m.tag, _short(m.before), _short(m.after), m.who] for m in moves]
    table("moves, the oldest first", ["when (UTC)", "tag", "from", "to", "who"], rows)
    return 0


def _json(move: Move) -> dict[str, str | None]:
    return {
        "tag": move.tag, "before": move.before, "after": move.after, "when": move.when,
        "who": move.who,
    }  # fmt: skip


def _short(digest: str | None) -> str:
    return digest[:SHORT] if digest else ""


def _sentence(move: Move) -> str:
    if move.after is None:
        return f"{move.tag} is removed; it named {_short(move.before)}."
    before = f", before {_short(move.before)}" if move.before else ""
    return f"{move.tag} names {_short(move.after)}{before}."


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return ""
