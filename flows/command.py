"""The shortest command that says what a configuration says."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import yaml

from flows.config import PRESETS, load_config
from models.errors import ConfigError

if TYPE_CHECKING:
    from flows.config import RetrainConfig

MOST_CHANGES = 12
"""A command with more ``--set`` is longer than the file of settings is worth."""


def shortest_command(config: RetrainConfig) -> str:
    """Return ``signetflow run PRESET --set ...`` from the nearest shipped preset.

    Empty where no preset is near: the file of all settings says it then.
    """
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    known = ((name, _changes(name, config)) for name in names)
    commands = [(len(changes), name, changes) for name, changes in known if changes is not None]
    if not commands:
        return ""
    _, name, changes = min(commands)
    words = ["signetflow", "run", name]
    for change in changes:
        words += ["--set", change]
    return shlex.join(words)


def _changes(name: str, config: RetrainConfig) -> list[str] | None:
    """Return the overrides that turn a preset into a configuration, None if that takes too many."""
    try:
        wanted = config.model_dump(mode="json")  # without what is part of no run
        changes = _differences(load_config(name).model_dump(mode="json"), wanted)
        same = len(changes) <= MOST_CHANGES and (
            load_config(name, tuple(changes)).model_dump(mode="json") == wanted
        )
    except ConfigError:  # a preset for another kind of run, or one that cannot be changed so
        return None
    return changes if same else None


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, value in new.items():
        before = old[name]
        groups = isinstance(value, dict) and isinstance(before, dict)
        if groups and set(value) == set(before):
            found += _differences(before, value, f"{prefix}{name}.")
        elif value != before:
            found.append(f"{prefix}{name}={_as_yaml(value)}")
    return found


def _as_yaml(value: Any) -> str:  # noqa: ANN401  # anything JSON can hold
    """Return a value as YAML on one line, without quotes where it needs none."""
    plain = isinstance(value, str) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)
