"""What a study is: a paper's table, and how ours is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.config import Arm, load_config
from models.annotations import Role
from storage.datasets.registered import latest, open_catalogue

if TYPE_CHECKING:
    from flows.config import RetrainConfig
    from storage.layout import Workspace
    from storage.report.comparison import Paper

NEED_UNLABELLED = (Arm.SELF_LONGER, Arm.SELF_EXTRA, Arm.COOPERATIVE)
"""Arms that learn from unlabelled tissue, and the control of theirs."""


@dataclass(frozen=True, slots=True)
class Study:
    """One table of one paper."""

    paper: Paper
    preset: str
    """For a dataset of the user's own: as close to the paper as can be."""
    small_preset: str
    """For made-up slides: small networks, a CPU."""
    tiny_preset: str
    """Every stage in a few minutes; its numbers mean nothing."""
    overrides: tuple[str, ...]
    """What the study asks for whatever the preset says, as ``a.b=value``."""

    @property
    def name(self) -> str:
        """Return the name on the command line."""
        return self.paper.study

    def config(
        self, at: Workspace, preset: str, dataset: str, overrides: tuple[str, ...]
    ) -> tuple[RetrainConfig, tuple[str, ...]]:
        """Return what to run on a dataset, and which arms it cannot have, a sentence each.

        Raises
        ------
        ConfigError
            If an override is none.
        NotFoundError
            If there is no such dataset.
        """
        asked = (f"name={self.name}", f"dataset={dataset}", *self.overrides, *overrides)
        config = load_config(preset, asked)
        arms = tuple(arm for arm in config.arms if arm not in NEED_UNLABELLED)
        if arms == config.arms or _has_unlabelled(at, dataset):
            return config, ()
        names = [self.paper.name_of(arm.value) for arm in config.arms if arm not in arms]
        told = (
            f"The dataset has no unlabelled regions, and without them there is no "
            f"{' and no '.join(name for name in names if name)}. Add slides that nobody annotated: "
            f"signetflow ingest slides FOLDER --role unlabelled --name {dataset} --add"
        )
        without = f"arms=[{','.join(arm.value for arm in arms)}]"
        return load_config(preset, (*asked, without)), (told,)


def _has_unlabelled(at: Workspace, dataset: str) -> bool:
    items = open_catalogue(at, latest(at, dataset)).items
    return any(
        Role.UNLABELLED in {one.rest, *(known.role for known in one.windows)} for one in items
    )
