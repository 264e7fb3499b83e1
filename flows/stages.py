"""Every stage of a retraining in order, for whoever runs it and for whoever only plans it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flows.arms import run_arms
from flows.bench import Bench
from flows.command import shortest_command
from flows.promotion import contended
from models.errors import InputError
from models.networks.settings import NAMED_WEIGHTS
from models.runtime import Runtime, resolve
from storage.artefacts import canonical_json, digest_of, hash_file
from storage.datasets.registered import latest
from storage.datasets.splits import Part
from storage.labels.log import resolve as resolve_labels
from tasks.evaluate import evaluate
from tasks.evidence import ArmEvidence
from tasks.ingest import annotate, extract
from tasks.network import DetectorRecipe, DetectorSettings
from tasks.predict import predict
from tasks.report import ReportInputs, report
from tasks.stage import Run, is_pending
from tasks.train import Recipe
from tasks.trial import ANNOTATED, Trial, require_cells

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.config import RetrainConfig
    from flows.results import ArmResult
    from models.networks.settings import NetworkSettings
    from storage.layout import Ref, Workspace


def open_run(config: RetrainConfig, at: Workspace, *, planning: bool = False) -> Run:
    """Return the run of a configuration: the same for the same configuration and dataset."""
    dataset = latest(at, config.dataset)
    # The name of a label version may move: what it means now is part of the run.
    begins = str(resolve_labels(at, config.labels)) if config.labels else ""
    run_id = digest_of([config.model_dump(mode="json"), str(dataset), begins])
    return Run(at, run_id, planning=planning, dask=config.runtime.dask)


@dataclass(frozen=True, slots=True)
class Conductor:
    """Goes through the stages of one run."""

    run: Run
    config: RetrainConfig
    heard: Callable[[ArmEvidence], None] = lambda _: None
    """Told of each arm when it is done."""

    @property
    def dataset(self) -> Ref:
        """Return the dataset that the run is on."""
        return latest(self.run.at, self.config.dataset)

    def report(self) -> Ref:
        """Go through every stage and return the report."""
        inputs = self.inputs()
        if self.config.mode == "production":
            contended(self.run, self.config, inputs)
        return report(
            self.run,
            "write the report",
            inputs=inputs,
            evaluation=self.config.evaluation,
            candidate_floor=self.config.instances.candidate_floor,
            settings=canonical_json(self.config.model_dump(mode="json")),
            command=shortest_command(self.config),
        )

    def inputs(self) -> ReportInputs:
        """Go through every stage but the last and return what there is to report."""
        config, run = self.config, self.run
        regions = extract(run, "cut regions", dataset=self.dataset, tiles=config.tiles)
        annotated = self._first_labels(regions)
        evidence: list[ArmEvidence] = []
        self._require_cells(regions)
        for trial in self.trials():
            bench = Bench(run, config, trial, regions, annotated, self._recipes())
            results = run_arms(bench, partial(self._told, bench))
            evidence += [self._evaluated(bench, result) for result in results]
        return ReportInputs(self.dataset, regions, annotated, tuple(evidence))

    def _first_labels(self, regions: Ref) -> Ref:
        config, run = self.config, self.run
        if config.labels is None:
            return annotate(run, "draw label version 0", regions=regions, ellipses=config.ellipses)
        from storage.labels.lineage import regions_behind
        from storage.labels.store import open_version

        chosen = resolve_labels(run.at, config.labels)
        drawn_on = regions_behind(run.at, open_version(run.at, chosen))
        if not is_pending(regions) and drawn_on != regions:
            raise InputError(
                f"labels {config.labels}: drawn on regions {drawn_on}, the run cuts {regions}. "
                f"Take labels of this dataset at this scale, or leave labels out."
            )
        return chosen

    def trials(self) -> list[Trial]:
        """Return every split, fold and seed."""
        config = self.config
        return [
            Trial(split, fold, seed)
            for split in config.splits
            for fold in config.folds
            for seed in config.seeds
        ]

    def _require_cells(self, regions: Ref) -> None:
        if not self.run.planning:
            for trial in self.trials():
                require_cells(self.run.at, regions, trial)

    def _recipes(self) -> dict[str, Recipe]:
        runtime = resolve(self.config.runtime)
        return {
            name: self._recipe(name, network, runtime)
            for name, network in self.config.networks.items()
        }

    def _recipe(self, name: str, network: NetworkSettings, runtime: Runtime) -> Recipe:
        settings = DetectorSettings(windows=self.config.windows, instances=self.config.instances)
        detector = DetectorRecipe(network, settings, runtime)
        config, first = self.config, _file_digest(network)
        return Recipe(name, "", detector, config.training, config.evaluation, first)

    def _told(self, bench: Bench, result: ArmResult) -> None:
        if not self.run.planning:
            self.heard(_evidence(bench.trial, result, None, None))

    def _evaluated(self, bench: Bench, result: ArmResult) -> ArmEvidence:
        name = bench.label(result.arm, result.model)
        detections = predict(
            self.run,
            f"{name} · test",
            regions=bench.regions,
            selection=bench.select(Part.TEST, ANNOTATED),
            checkpoint=result.checkpoint,
            detector=bench.recipes[result.model].detector,
            masks=None,
        )
        card = evaluate(
            self.run,
            f"{name} · test",
            regions=bench.regions,
            selection=bench.select(Part.TEST, ANNOTATED),
            detections=detections,
            settings=self.config.evaluation,
        )
        return _evidence(bench.trial, result, detections, card)


def _file_digest(network: NetworkSettings) -> str | None:
    """Return the sha256 of the file with a network's first weights, if a file has them."""
    path = Path(network.weights)
    return hash_file(path) if network.weights not in NAMED_WEIGHTS and path.is_file() else None


def _evidence(
    trial: Trial, result: ArmResult, detections: Ref | None, evaluation: Ref | None
) -> ArmEvidence:
    return ArmEvidence(
        trial, result.arm.value, result.model, result.rounds, result.kept, result.n_steps,
        result.verdicts, result.choice, detections, evaluation,
    )  # fmt: skip
