"""What keeps a workspace in shape by itself: retention, as a flow that a schedule runs."""

from __future__ import annotations

from pathlib import Path  # Prefect reads the types of a flow's parameters when it runs
from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed
from pydantic import Field

from flows import logs
from flows.gauges import gauged
from flows.retrain import NOTHING_NEW, SKIPPED
from models.errors import BusyError, NotFoundError
from storage.layout import Workspace
from storage.retention import Rules
from storage.retention import tidy as tidy_workspace


@flow(name="tidy", flow_run_name="tidy", persist_result=False)
def tidy(
    workspace: Path,
    keep_runs: Annotated[int, Field(ge=1, le=10_000)] = 20,
    unfinished_days: Annotated[float, Field(ge=1)] = 30,
    log_mib: Annotated[float, Field(ge=1)] = 50,
    dry_run: bool = False,
) -> Any:  # noqa: ANN401  # a value or a state
    """Remove what nothing needs; whatever the lineage of a kept label version needs stays.

    Tagged versions, every champion and challenger there ever was, runs that are not completed and
    all that they grew from stay. What goes is made again when it is asked for. Ends as "Skipped"
    when anybody is at work in the workspace.

    Parameters
    ----------
    workspace
        The folder to tidy.
    keep_runs
        How many of the latest runs keep all that they made.
    unfinished_days
        How long the state of a training that was killed waits for somebody to go on with it.
    log_mib
        From which size on a log of a server is put aside as ``.1``, in place of the one before.
    dry_run
        Only say what would go.
    """
    logs.set_up()
    at = Workspace(workspace)
    if not at.root.is_dir():
        raise NotFoundError(f"{at.root}: there is no workspace to tidy.")
    try:
        with gauged(at):
            done = tidy_workspace(at, Rules(keep_runs, unfinished_days, log_mib), dry_run=dry_run)
    except BusyError as error:
        return Completed(name=SKIPPED, message=str(error))
    mib = done.bytes_freed / 2**20
    said = f"{len(done.leftovers)} things, {mib:.1f} MiB; {done.n_kept} artefacts stay"
    if not done.leftovers:
        return Completed(name=NOTHING_NEW, message=f"nothing may go; {said}")
    name = "Would tidy" if dry_run else "Tidied"
    return Completed(name=name, message=said, data=[one.what for one in done.leftovers])
