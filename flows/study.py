"""A paper's table run anew: all folds and arms of a retraining, then the comparison."""

from __future__ import annotations

from pathlib import Path  # Prefect reads the types of a flow's parameters when it runs

from prefect import flow

from flows.config import RetrainConfig
from flows.planning import link_report
from flows.retrain import retrain
from flows.stages import open_run
from flows.studies.comparing import compared, link_name
from storage.layout import Workspace
from storage.locks import shared


@flow(name="study", flow_run_name="{name}", persist_result=False)
def study(name: str, config: RetrainConfig, workspace: Path, left_out: tuple[str, ...] = ()) -> str:
    """Retrain over all folds and lay the outcome beside a paper's table; return its Ref as text.

    Parameters
    ----------
    name
        Of the study, as ``signetflow study --list`` has it.
    config, workspace
        As of `flows.retrain.retrain`.
    left_out
        Which of the paper's arms the dataset cannot have, a sentence each.
    """
    at = Workspace(workspace)
    retrain(config, workspace)
    with shared(at):
        table = compared(name, config, at, left_out)
        link_report(at, link_name(name, open_run(config, at).run_id), table)
    return str(table)
