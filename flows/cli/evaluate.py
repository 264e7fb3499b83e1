"""``signetflow evaluate``: metrics on plain files, no workspace needed."""

from __future__ import annotations

from pathlib import Path  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import JsonOption, note, say, table, write_json
from models.errors import WrongUseError

if TYPE_CHECKING:
    from models.metrics.detection import Evaluation

PLOT_TYPES = {".svg", ".png", ".pdf"}

BASES = {
    "negative_images": "on negative images",
    "complete_images": "on completely annotated images",
    "unmatched_on_partial": "on partly annotated images, where unmarked cells count as errors",
}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("evaluate")(evaluate)


def evaluate(  # one argument per option
    truth: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="COCO file of the annotated cells. Images may carry role (positive, negative, "
            "unlabelled), complete (true, false) and slide.",
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="COCO results: a list of image_id, bbox (x, y, width, height) and score.",
        ),
    ],
    class_name: Annotated[
        str | None, typer.Option("--class", help="Evaluate this category only.")
    ] = None,
    iou: Annotated[
        float, typer.Option(help="Overlap of boxes from which a cell is found.", min=0.01, max=1)
    ] = 0.3,
    bootstrap: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Resamples of the slides for an interval of FROC. With --json none unless given; "
            "it then adds froc_low and froc_high.",
            show_default="1000",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resamples.", min=0)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Write the FROC curve here (.svg, .png or .pdf).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well detections find annotated cells.

    A detection finds a cell when their boxes overlap by --iou, the surest first, one cell each.
    False positives are counted on negative images; without any, on complete ones; fps_basis says
    which. FROC is the mean recall at 1, 2, 4, 8, 16 and 32 false positives per image.

    Example: signetflow evaluate --truth truth.json --predictions found.json --plot froc.svg
    """
    from models.metrics.detection import evaluate as measure
    from models.metrics.settings import EvaluationSettings
    from storage.results import read_results

    if plot is not None and plot.suffix.lower() not in PLOT_TYPES:
        known = ", ".join(sorted(PLOT_TYPES))
        raise WrongUseError(f"--plot {plot}: unknown type of file, expected one of {known}.")
    if bootstrap is None:
        bootstrap = 0 if as_json else 1000
    results = read_results(truth, predictions, class_name)
    for remark in results.remarks:
        note(remark)
    settings = EvaluationSettings(iou=iou, collective=min(iou, 0.3), bootstrap=bootstrap)
    evaluation = measure(results.images, settings, seed=seed)
    if plot is not None:
        _plot(evaluation, plot)
    if as_json:
        write_json(_answer(evaluation, with_interval=bootstrap > 0))
    else:
        _tell(evaluation, iou)


def _answer(evaluation: Evaluation, *, with_interval: bool) -> dict[str, Any]:
    if not with_interval:
        return evaluation.figures()
    low, high = evaluation.froc_interval or (None, None)
    return evaluation.figures() | {"froc_low": low, "froc_high": high}


def _tell(evaluation: Evaluation, iou: float) -> None:
    interval = evaluation.froc_interval
    rows = [
        ["FROC", f"{evaluation.froc:.3f}", _range(interval)],
        *(
            [f"  recall at {point:g} false per image", f"{recall:.3f}", ""]
            for point, recall in evaluation.froc_recalls.items()
        ),
        ["instance recall", f"{evaluation.instance_recall:.3f}", f"IoU {iou:g}"],
        ["collective recall", f"{evaluation.collective_recall:.3f}", ""],
        ["false positives per image", f"{evaluation.fps:.3f}", BASES[evaluation.fps_basis]],
    ]
    if evaluation.precision is not None:
        rows.append(["precision", f"{evaluation.precision:.3f}", "on positive images"])
    table("Detections against annotated cells", ["", "value", "note"], rows)
    say(
        f"{evaluation.n_truth} cells on {evaluation.n_positive_images} positive images, "
        f"{evaluation.n_negative_images} negative images, {evaluation.n_predictions} detections"
    )


def _range(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "no interval: fewer than two annotated slides, or none asked for"
    return f"95 % over slides: {interval[0]:.3f} to {interval[1]:.3f}"


def _plot(evaluation: Evaluation, path: Path) -> None:
    from models.errors import WorkspaceError
    from storage.report.model import Curve
    from storage.report.plots import save_froc

    curve = Curve("detections", evaluation.curve.fps, evaluation.curve.recall)
    try:
        save_froc(path, [curve])
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be written ({error.strerror}).") from error
    note(f"wrote {path}")
