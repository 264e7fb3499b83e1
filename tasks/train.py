"""A network trains on one label version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from storage.checkpoints import load_card, save_checkpoint
from storage.datasets.splits import Part
from storage.layout import Kind, Ref
from tasks.network import DetectorRecipe, load_network
from tasks.stage import Work, canonical, stage
from tasks.trial import ANNOTATED, Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.methods.validation import Validation
    from models.metrics.settings import EvaluationSettings
    from models.networks.segmenter import Segmenter
    from models.training.settings import TrainingSettings
    from storage.regions import Regions
    from tasks.trial import Trial


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training, whatever its data."""

    model: str
    """The network's name in the configuration; two networks of one kind differ by it."""
    purpose: str
    """The arm and the round: part of what the random numbers derive from."""
    detector: DetectorRecipe
    training: TrainingSettings
    evaluation: EvaluationSettings
    weights_file: str | None = None
    """sha256 of the file with the first weights, where a file has them: a path says too little."""

    def on(self, purpose: str, epochs: int) -> Recipe:
        """Return the same recipe for a round of an arm: validated once, at its end."""
        validate_every = epochs if self.training.validate_every else 0
        changes = {"epochs": epochs, "validate_every": validate_every}
        training = self.training.model_copy(update=changes)
        return replace(self, purpose=purpose, training=training)


@dataclass(frozen=True, slots=True)
class Beginning:
    """From which weights a training starts, and how long it goes on."""

    start: Ref | None = None
    """A checkpoint; None: the network's first weights."""
    pace: Ref | None = None
    """A checkpoint whose training took the number of steps to take; None: as the recipe says."""


@stage(name="train", version=4, makes=Kind.CHECKPOINT)
def train(
    work: Work,
    *,
    regions: Ref,
    labels: Ref,
    selection: Selection,
    recipe: Recipe,
    begin: Beginning,
) -> Ref:
    """Train on the selected regions.

    The optimiser is always fresh: Li is silent, and ten epochs cannot train from scratch, so only
    the weights go on.
    """
    import torch

    from models.networks.weights import weights_record
    from models.training.loop import Hooks
    from models.training.loop import train as run_training
    from models.training.sampling import Randomness
    from storage.labelled import LabelledRegions
    from storage.labels.store import open_version
    from storage.regions import open_regions

    runtime, trial = recipe.detector.runtime, selection.trial
    torch.set_num_threads(runtime.threads)
    source = open_regions(work.at, regions)
    chosen = selection.of(source)
    network = _network(work, trial, recipe, begin)
    settings = _paced(work, recipe.training, begin.pace)
    first_weights = None if begin.start else weights_record(recipe.detector.network, network)
    outcome = run_training(
        network,
        LabelledRegions(source, open_version(work.at, labels), chosen),
        settings,
        Randomness(trial.seed, f"{trial.chain}/{recipe.model}/{recipe.purpose}"),
        runtime,
        Hooks(work.unfinished, _validation(work, source, trial, recipe), _reporting(work)),
    )
    card = _card(trial, recipe) | {
        "labels": labels.digest,
        "regions": regions.digest,
        "start": begin.start.digest if begin.start else None,
        "first_weights": first_weights,
        "n_regions": len(chosen),
        "n_steps": outcome.n_steps,
        "best_epoch": outcome.best_epoch,
        "history": outcome.history,
    }
    return save_checkpoint(work.at, outcome.state, card)


def _network(work: Work, trial: Trial, recipe: Recipe, begin: Beginning) -> Segmenter:
    from models.networks.registry import build

    if begin.start is None:
        return build(recipe.detector.network, seed=trial.seed)
    return load_network(work.at, recipe.detector, begin.start)


def _paced(work: Work, settings: TrainingSettings, pace: Ref | None) -> TrainingSettings:
    """Return the settings for as many steps, in as many epochs, as another training took."""
    if pace is None:
        return settings
    card = load_card(work.at, pace)
    steps, left_over = divmod(card["n_steps"], settings.epochs)
    if left_over:
        raise AssertionError(f"{card['n_steps']} steps are no whole number of steps per epoch")
    return settings.model_copy(update={"steps_per_epoch": steps})


def _reporting(work: Work) -> Callable[[dict[str, Any]], None]:
    def report(event: dict[str, Any]) -> None:
        if event["kind"] == "step":
            work.progress(event["step"], event["n_steps"])

    return report


def _validation(work: Work, source: Regions, trial: Trial, recipe: Recipe) -> Validation:
    from models.methods.validation import Validation, ValidationRegion
    from storage.labelled import RegionBlocks
    from storage.seen import SeenRegions

    regions = tuple(
        ValidationRegion(
            info.region_id,
            info.slide,
            info.role,
            RegionBlocks(source, info),
            info.placement.boxes_to_working(source.annotations(info.region_id).boxes),
        )
        for info in Selection(trial, Part.VALIDATION, ANNOTATED).of(source)
    )
    settings, runtime = recipe.detector.settings, recipe.detector.runtime
    return Validation(
        regions, settings.windows, settings.instances, recipe.evaluation, runtime,
        SeenRegions(work.unfinished.folder / "validation"), work.require_going_on,
    )  # fmt: skip


def _card(trial: Trial, recipe: Recipe) -> dict[str, Any]:
    return {
        "split": trial.split,
        "fold": trial.fold,
        "seed": trial.seed,
        "model": recipe.model,
        "purpose": recipe.purpose,
        "network": recipe.detector.network.model_dump(mode="json"),
        "training": recipe.training.model_dump(mode="json"),
        "detector": recipe.detector.settings.model_dump(mode="json"),
        "runtime": canonical(recipe.detector.runtime),
    }
