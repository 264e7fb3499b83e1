"""What a retraining is told: one YAML preset, checked before anything starts.

The settings stand beside the algorithms that obey them; this file only puts them together.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from models.errors import ConfigError
from models.geometry.settings import EllipseSettings, TileSettings
from models.instances.settings import InstanceSettings
from models.merging.settings import MergeSettings
from models.methods.settings import (
    AlarmSettings,
    CooperativeSettings,
    PromotionSettings,
    SelfTrainingSettings,
)
from models.metrics.settings import EvaluationSettings
from models.networks.settings import NetworkSettings
from models.prediction.settings import WindowSettings
from models.runtime_settings import RuntimeSettings
from models.settings import Settings
from models.training.settings import TrainingSettings
from storage.datasets.splits import N_FOLDS

PRESETS = Path(__file__).resolve().parents[1] / "deployments" / "presets"
"""The presets that ship with signetflow, by name."""


class Arm(StrEnum):
    """The rows of the table: each method and, beside it, its control."""

    SUPERVISED = "supervised"
    SUPERVISED_LONGER = "supervised_longer"
    """As many steps as `self`, on the labels that `supervised` saw."""
    SELF = "self"
    SELF_LONGER = "self_longer"
    """As many steps as `cooperative`, on the labels that `self` ended with."""
    SELF_EXTRA = "self_extra"
    """Unannotated tissue labelled by the network itself."""
    COOPERATIVE = "cooperative"
    """Unannotated tissue labelled by the other network."""


class RetrainConfig(Settings):
    """A retraining by the method of Li et al. 2019."""

    name: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.-]+$")
    """Under which MLflow groups the runs."""
    dataset: str = Field(min_length=1)
    """Name of an ingested dataset."""
    labels: str | None = Field(default=None, max_length=64)
    """A label version or tag to begin from, such as one that a person reviewed; by default version
    0, drawn from what the dataset's annotations say."""
    mode: Literal["cross_validation", "production"] = "cross_validation"
    """`production` trains one model per network with fold 0 of the hard split held back."""
    splits: tuple[Literal["hard", "easy"], ...] = Field(default=("hard",), min_length=1)
    """`hard` keeps slides and organs apart, `easy` only regions (Li, sec. 3.1)."""
    folds: tuple[Annotated[int, Field(ge=0, lt=N_FOLDS)], ...] = Field(
        default=tuple(range(N_FOLDS)), min_length=1
    )
    """Which of the three folds are the test fold in turn."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    arms: tuple[Arm, ...] = Field(default=tuple(Arm), min_length=1)
    """Which rows to make; what they stand on is made as well."""
    networks: dict[str, NetworkSettings] = Field(min_length=1, max_length=2)
    """One network, or the two that correct each other."""
    side_by_side: bool = False
    """Train the two networks at the same time: on a CPU with one thread each. Changes no result."""
    tiles: TileSettings = TileSettings()
    ellipses: EllipseSettings = EllipseSettings()
    training: TrainingSettings = TrainingSettings()
    """The first, supervised training; rounds change its number of epochs only."""
    merging: MergeSettings = MergeSettings()
    self_training: SelfTrainingSettings = SelfTrainingSettings()
    cooperative: CooperativeSettings = CooperativeSettings()
    alarm: AlarmSettings = AlarmSettings()
    promotion: PromotionSettings = PromotionSettings()
    """Only for `mode: production`."""
    instances: InstanceSettings = InstanceSettings()
    windows: WindowSettings = WindowSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    runtime: RuntimeSettings = RuntimeSettings()

    @field_validator("splits", "folds", "seeds", "arms")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError("names something twice; each once")
        return values

    @model_validator(mode="after")
    def _two_networks_to_cooperate(self) -> Self:
        if Arm.COOPERATIVE in self.arms and len(self.networks) != 2:
            raise ValueError(
                f"arm cooperative needs two networks, got {len(self.networks)}; "
                f"add one under networks or take the arm out of arms"
            )
        return self

    @model_validator(mode="after")
    def _thresholds_stand_with_the_rounds(self) -> Self:
        if self.merging.threshold != MergeSettings().threshold:
            raise ValueError(
                "merging.threshold is taken from the rounds: set self_training.threshold and "
                "cooperative.threshold"
            )
        return self

    @model_validator(mode="after")
    def _production_has_one_fold(self) -> Self:
        if self.mode == "production" and (self.splits != ("hard",) or self.folds != (0,)):
            raise ValueError("mode production trains on one split: set splits: [hard], folds: [0]")
        return self


def as_told(config: RetrainConfig) -> dict[str, Any]:
    """Return what a configuration was told as plain data, what is part of no run as well."""
    told = config.model_dump(mode="json", exclude_unset=True)
    if "save_every_s" in config.training.model_fields_set:
        told["training"]["save_every_s"] = config.training.save_every_s
    if config.runtime.dask is not None:
        told["runtime"]["dask"] = config.runtime.dask.model_dump(mode="json")
    return told


def load_config(preset: str, overrides: tuple[str, ...] = ()) -> RetrainConfig:
    """Return the configuration of a preset file, or of a shipped preset by its name.

    Parameters
    ----------
    preset
        Path of a YAML file, or the name of one in ``deployments/presets``.
    overrides
        ``a.b=value`` each, the value read as YAML.

    Raises
    ------
    ConfigError
        If the file is missing or damaged, a key unknown or a value out of bounds.
    """
    path = _preset_path(preset)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {_in_one_line(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}")
    for override in overrides:
        _override(content, override)
    return parse_config(content, str(path))


def parse_config(content: dict[str, Any], source: str) -> RetrainConfig:
    """Return a configuration from plain data; `source` names it in errors.

    Raises
    ------
    ConfigError
        If a key is unknown or a value out of bounds; every fault is named.
    """
    try:
        return RetrainConfig.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_fault(entry) for entry in error.errors())
        raise ConfigError(f"{source}: {faults}") from error


def _fault(entry: Any) -> str:  # noqa: ANN401  # pydantic's own record of one fault
    where = ".".join(str(part) for part in entry["loc"]) or "the preset"
    if entry["type"] == "extra_forbidden":
        return f"{where} is not a setting; check its spelling and its indentation"
    got = entry.get("input")
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool) else ""
    return f"{where}: {entry['msg'].removeprefix('Value error, ')}{shown}"


def _preset_path(preset: str) -> Path:
    path = Path(preset)
    if path.is_file():
        return path
    shipped = PRESETS / f"{preset}.yaml"
    if shipped.is_file():
        return shipped
    names = ", ".join(sorted(p.stem for p in PRESETS.glob("*.yaml")))
    raise ConfigError(f"{preset}: no such file and no shipped preset; the shipped ones are {names}")


def _override(content: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {override}: expected a.b=value, as in --set training.epochs=5")
    *parents, last = path.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a group of settings")
    try:
        content[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: not a YAML value: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
