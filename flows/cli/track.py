"""``signetflow track``: what MLflow is told."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption, say, write_json
from models.errors import TrackingError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="MLflow is a picture of the workspace: nothing is kept there only.",
)


def register(parent: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("deliver")(deliver)
    app.command("rebuild")(rebuild)
    parent.add_typer(app, name="track")


UriOption = Annotated[
    str | None,
    typer.Option(
        help="The server.", show_default="MLFLOW_TRACKING_URI, else the store in the workspace"
    ),
]


def deliver(
    uri: UriOption = None, workspace: WorkspaceOption = None, *, as_json: JsonOption = False
) -> None:
    """Tell the server what it has not heard yet; runs do that by themselves.

    Notices to people that wait for the Prefect server at PREFECT_API_URL are sent as well.
    """
    _deliver(uri, workspace, every=False, as_json=as_json)


def rebuild(
    uri: UriOption = None, workspace: WorkspaceOption = None, *, as_json: JsonOption = False
) -> None:
    """Tell a server everything again, for one that is new, was emptied or has moved.

    What it knows stays as it is: nothing is told twice.

    Example: signetflow track rebuild --uri http://mlflow.example:5000
    """
    _deliver(uri, workspace, every=True, as_json=as_json)


def _deliver(uri: str | None, workspace: WorkspaceOption, *, every: bool, as_json: bool) -> None:
    from flows.cli.running import workspace_at
    from flows.news import deliver_news
    from storage.tracking.outbox import deliver as send

    at = workspace_at(workspace)
    problem = deliver_news(at)
    done = send(at, uri=uri, every=every)
    if done.problem or problem:
        said = " ".join(one for one in (done.problem, problem) if one)
        raise TrackingError(f"{done.delivered} delivered. {said}")
    if as_json:
        write_json({"delivered": done.delivered, "waiting": done.waiting})
        return
    say(f"{done.delivered} events delivered, none waits.")
