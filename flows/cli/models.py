"""``signetflow models``: which checkpoint is in use, and who made it so."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    from storage.champion import Standing
    from storage.layout import Workspace

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Champion and challenger: the checkpoint in use, and the one that asks to be.\n\n"
    "A production run promotes its network only if the whole interval of its gain on the frozen "
    "validation slides is above the rule's limit. Everything else is a person's decision, made "
    "here, with a name and a reason.",
)
ByOption = Annotated[
    str | None, typer.Option(help="Who decides.", show_default="the name you are logged in by")
]
BecauseOption = Annotated[str, typer.Option("--because", help="Why; kept for ever.")]


def register(parent: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("list")(listed)
    app.command("promote")(promote)
    app.command("rollback")(rollback)
    parent.add_typer(app, name="models")


def listed(workspace: WorkspaceOption = None, *, as_json: JsonOption = False) -> None:
    """Show champion and challenger, and every change there ever was."""
    from flows.cli.running import workspace_at
    from storage.champion import NAMES, history, standing

    at = workspace_at(workspace)
    now = {name: standing(at, name) for name in NAMES}
    changes = history(at)
    if as_json:
        answer: dict[str, Any] = {name: asdict(one) if one else None for name, one in now.items()}
        write_json(answer | {"changes": [asdict(one) for one in changes]})
        return
    if not changes:
        say(f"{at.root}: no checkpoint was ever champion or challenger. A run in mode production")
        say("makes a challenger; signetflow models promote makes a champion.")
        return
    table(
        "the last of each name counts",
        ["when", "name", "checkpoint", "by", "because"],
        [[one.at, one.name, one.checkpoint[:12], one.by, one.reason] for one in changes],
    )


def promote(
    checkpoint: Annotated[str, typer.Argument(help="First letters of its digest, or: challenger.")],
    because: BecauseOption,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a checkpoint champion, by a person's decision.

    Example: signetflow models promote challenger --because "reviewed 40 slides, fewer misses"
    """
    from flows.cli.running import workspace_at
    from storage.champion import stand
    from storage.checkpoints import find_checkpoint

    at = workspace_at(workspace)
    chosen = find_checkpoint(at, checkpoint)
    made = stand(at, "champion", chosen, by=by or getpass.getuser(), reason=because)
    _told(at, made, as_json=as_json)


def rollback(
    because: BecauseOption,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make the champion before this one champion again.

    Example: signetflow models rollback --because "marks ink as cells on the new scanner"
    """
    from flows.cli.running import workspace_at
    from storage.champion import roll_back

    at = workspace_at(workspace)
    _told(at, roll_back(at, by=by or getpass.getuser(), reason=because), as_json=as_json)


def _told(at: Workspace, made: Standing, *, as_json: bool) -> None:
    from flows.news import deliver_news
    from flows.promotion import tell
    from storage.ledger import Ledger
    from storage.tracking.outbox import deliver

    tell(at, made)
    problem, delivery = deliver_news(at), deliver(at)
    if as_json:
        news = len(Ledger(at).pending_news())
        write_json(asdict(made) | {"events_waiting": delivery.waiting, "news_waiting": news})
        return
    say(f"champion is {made.checkpoint[:12]}, by {made.by}: {made.reason}")
    for line in (problem, delivery.problem):
        if line:
            say(line)
