"""``signetflow ops bootstrap`` and ``serve``: set servers up and run them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json
from flows.cli.run import SetOption

if TYPE_CHECKING:
    from flows.serving import Serving


def register(verbs: typer.Typer) -> None:
    """Add the verbs."""
    verbs.command("bootstrap")(bootstrap)
    verbs.command("serve")(serve)


def bootstrap(
    preset: Annotated[
        str, typer.Option(help="What the weekly retraining does: a YAML preset, or a shipped one.")
    ] = "production",
    settings: SetOption = None,
    dataset: Annotated[
        str | None, typer.Option(help="The ingested dataset, in place of the preset's.")
    ] = None,
    gpus: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            help="One pool for each, gpu0 and so on, beside cpu; with 0, runs go to cpu.",
        ),
    ] = 1,
    webhook: Annotated[
        str | None,
        typer.Option(
            envvar="SIGNETFLOW_WEBHOOK",
            help="Address that is told of failures, alarms and promotions.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    *,
    undo: Annotated[
        bool, typer.Option("--undo", help="Remove what bootstrapping made, and nothing else.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Set the Prefect server at PREFECT_API_URL up: pools, automations, deployments.

    The same command again changes nothing, and a schedule that somebody switched on stays on. The
    weekly retraining is off until then: prefect deployment schedule resume, or the switch in the
    UI.

    Example: signetflow ops bootstrap --dataset nuclei --workspace /srv/signetflow --gpus 2
    """
    from flows.cli.running import workspace_at
    from flows.config import as_told, load_config
    from flows.operations import Wish
    from flows.operations import bootstrap as set_up
    from flows.operations import undo as remove

    if undo:
        steps = remove(dry_run=dry_run)
    else:
        named = (f"dataset={dataset}",) if dataset else ()
        config = load_config(preset, (*(settings or ()), *named))
        said = as_told(config)
        wish = Wish(said, workspace_at(workspace).root, gpus, webhook)
        steps = set_up(wish, dry_run=dry_run)
    if as_json:
        listed = [{"kind": one.kind, "name": one.name, "done": one.done} for one in steps]
        write_json({"dry_run": dry_run, "steps": listed})
        return
    title = "what would be done" if dry_run else "done"
    table(title, ["what", "name", ""], [[one.kind, one.name, one.done] for one in steps])
    if not undo and not dry_run:
        pool = "gpu0" if gpus else "cpu"
        say(f"Next, on each host of a pool: prefect worker start --pool {pool} --limit 1")


def serve(
    worker: Annotated[
        list[str] | None,
        typer.Option(help="Start a worker for this pool as well. May be given several times."),
    ] = None,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535)] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    host: Annotated[str, typer.Option(help="Loopback; wider is refused, with what to do.")] = (
        "127.0.0.1"
    ),
    workspace: WorkspaceOption = None,
    *,
    log_here: Annotated[
        bool,
        typer.Option("--log-here", help="Log here, as for a service's journal, not into files."),
    ] = False,
) -> int:
    """Run Prefect and MLflow for this machine until Ctrl-C, workers too if asked.

    On SQLite in the workspace, or on the databases that PREFECT_SERVER_DATABASE_CONNECTION_URL and
    MLFLOW_BACKEND_STORE_URI name. If a server ends, all end, with what to
    look at; a worker that ends is started again.

    Example: signetflow ops serve --workspace /srv/signetflow --worker cpu
    """
    from flows.cli.running import workspace_at
    from flows.serving import Serving
    from flows.serving import serve as run

    at, workers = workspace_at(workspace), tuple(worker or ())
    what = Serving(at, prefect_port, mlflow_port, host, workers, log_here)
    return run(what, _served)


def _served(what: Serving) -> None:
    if what.log_here:
        say(f"Prefect and MLflow run: {what.prefect_url}, {what.mlflow_url}")
        sys.stdout.flush()
        return
    say("Prefect and MLflow run. In every other shell, first:")
    say(f"  export PREFECT_API_URL={what.prefect_url}")
    say(f"  export MLFLOW_TRACKING_URI={what.mlflow_url}")
    say(f"  export SIGNETFLOW_WORKSPACE={what.at.root.absolute()}")
    say(f"Logs: {what.at.root / 'servers'}. Ctrl-C ends everything.")
    sys.stdout.flush()  # to a journal or a file it would come with the end alone
