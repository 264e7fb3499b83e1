"""The flows that deployments run beside `flows.retrain`: go on, evaluate, look at new slides."""

from __future__ import annotations

from pathlib import Path  # Prefect reads the types of a flow's parameters when it runs
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.states import Completed
from pydantic import Field

from flows import logs
from flows.config import parse_config
from flows.predict import predict_files
from flows.promotion import recipe_of
from flows.retrain import NOTHING_NEW, retrained
from flows.slots import in_slot
from models.errors import InputError, NotFoundError
from models.metrics.settings import EvaluationSettings
from models.runtime_settings import DaskSettings, RuntimeSettings
from storage.checkpoints import find_checkpoint, load_card
from storage.datasets.splits import Part
from storage.geojson import geojson_name
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Ledger, RunRecord
from storage.locks import IfBusy, shared
from tasks.evaluate import evaluate as evaluate_stage
from tasks.predict import predict as predict_stage
from tasks.stage import Run
from tasks.trial import ANNOTATED, Selection, Trial

CheckpointText = Annotated[str, Field(min_length=4, max_length=64)]
RunText = Annotated[str, Field(pattern=r"^(last|[0-9a-f]{4,32})$")]


@flow(name="resume", flow_run_name="resume-{run}", persist_result=False)
def resume(
    workspace: Path,
    run: RunText = "last",
    if_busy: IfBusy = "skip",
    dask: DaskSettings | None = None,
) -> Any:  # noqa: ANN401  # a value or a state
    """Go on with a run that failed or was killed, where it stopped.

    Parameters
    ----------
    workspace
        The folder that holds the run.
    run
        The first digits of its id, as ``signetflow status`` shows it; ``last``: the latest that is
        not completed.
    if_busy
        As for retrain.
    dask
        ``{"address": "tcp://10.0.0.5:8786"}``: a Dask cluster for work on regions. It is no part of
        a run: without this, threads do it, whoever did it before. The result is the same.
    """
    at = Workspace(workspace)
    record = _unfinished(at, run)
    if record is None:
        return Completed(name=NOTHING_NEW, message=f"{at.root}: every run is completed")
    config = parse_config(record.config, f"run {record.run_id} of {at.root}")
    runtime = config.runtime.model_copy(update={"dask": dask})
    return retrained(config.model_copy(update={"runtime": runtime}), at, if_busy)


def _unfinished(at: Workspace, text: str) -> RunRecord | None:
    runs = Ledger(at).runs()
    if text == "last":
        return next((one for one in runs if one.state != "completed"), None)
    found = [one for one in runs if one.run_id.startswith(text)]
    if len(found) != 1:
        raise NotFoundError(
            f"{at.root}: {len(found)} runs begin with {text!r}; signetflow status lists them."
        )
    return found[0]


@flow(name="evaluate", flow_run_name="evaluate-{checkpoint}", persist_result=False)
def evaluate(
    workspace: Path,
    checkpoint: CheckpointText,
    part: Literal["validation", "test"] = "validation",
    settings: EvaluationSettings = EvaluationSettings(),  # noqa: B008  # frozen
    dask: DaskSettings | None = None,
) -> dict[str, Any]:
    """Measure a checkpoint on a part of the split that its training held back.

    Parameters
    ----------
    workspace
        The folder that holds the checkpoint and the regions it learned from.
    checkpoint
        The first digits of its digest.
    part
        ``validation``, which may choose between checkpoints, or ``test``, which may not.
    settings
        How cells are matched.
    dask
        A Dask cluster that finds the cells where the network has looked; else threads do.
    """
    logs.set_up()
    at = Workspace(workspace)
    ref = find_checkpoint(at, checkpoint)
    card = load_card(at, ref)
    trial = Trial(card["split"], card["fold"], card["seed"])
    selection = Selection(trial, Part(part), ANNOTATED)
    regions = Ref(Kind.REGIONS, card["regions"])
    label = f"{trial} · {card['model']} · {ref.digest[:8]} · {part}"
    with shared(at), in_slot():
        run = Run(at, f"evaluate-{ref.digest}", dask=dask)
        found = predict_stage(
            run,
            label,
            regions=regions,
            selection=selection,
            checkpoint=ref,
            detector=recipe_of(at, ref, RuntimeSettings()),
            masks=None,
        )
        measured = evaluate_stage(
            run, label, regions=regions, selection=selection, detections=found, settings=settings
        )
    results: dict[str, Any] = load_card(at, measured)["results"]
    return results


@flow(name="predict", flow_run_name="predict-{checkpoint}", persist_result=False)
def predict(
    workspace: Path,
    checkpoint: CheckpointText,
    slides: Path,
    output: Path,
    mpp: Annotated[float | None, Field(gt=0)] = None,
    dask: DaskSettings | None = None,
) -> Any:  # noqa: ANN401  # a value or a state
    """Find cells on every slide of a folder that has no result yet; write GeoJSON for QuPath.

    Parameters
    ----------
    workspace
        The folder that holds the checkpoint.
    checkpoint
        The first digits of its digest.
    slides
        A slide, or a folder of slides and images.
    output
        Receives ``<slide>.geojson``; a slide that has one is left out.
    mpp
        Micrometres per pixel of all slides, in place of what the files say.
    dask
        A Dask cluster that looks for tissue, and for cells where the network has looked; else
        threads do.
    """
    logs.set_up()
    files = (
        sorted(one for one in slides.iterdir() if one.is_file()) if slides.is_dir() else [slides]
    )
    if not files:
        raise InputError(f"{slides}: no file to look at.")
    new = [one for one in files if not (output / geojson_name(one.name)).exists()]
    if not new:
        return Completed(name=NOTHING_NEW, message=f"{output} has a result for every slide")
    at = Workspace(workspace)
    with shared(at), in_slot():
        written = predict_files(at, checkpoint, new, output, mpp=mpp, dask=dask)
    return {str(path): count for path, count in written.items()}
