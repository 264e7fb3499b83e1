"""At which scale a network was trained, and what that is on another slide."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from models.errors import InputError
from models.geometry.tiles import working_downsample
from storage.datasets.registered import open_catalogue
from storage.layout import Kind, Ref, Workspace
from storage.regions import open_regions

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scale:
    """The working scale of a training."""

    downsample: float
    """Level-0 pixels per working pixel."""
    mpp: float | None
    """Micrometres per working pixel; None where the images had no pixel size."""

    def say_assumed(self, path: Path, mpp: float | None) -> None:
        """Warn of a slide without a pixel size, if it ought to have one."""
        if self.mpp is not None and mpp is None:
            logger.warning(
                "%s has no pixel size: it is read at 1/%g of its own, as the training slides "
                "were. Give it with --mpp if it was scanned at another magnification.",
                path, self.downsample,
            )  # fmt: skip

    def downsample_of(self, path: Path, mpp: float | None) -> float:
        """Return the level-0 pixels per working pixel on another slide.

        Micrometres decide where both sides know them, pixels elsewhere.

        Parameters
        ----------
        path, mpp
            The slide, for messages, and its micrometres per pixel. See `say_assumed`.

        Raises
        ------
        InputError
            If the slide is coarser than what the network was trained on.
        """
        if self.mpp is None or mpp is None:
            return self.downsample
        try:
            return working_downsample(mpp, self.mpp, None)
        except InputError as error:
            raise InputError(
                f"{path}: has {mpp:.3g} micrometres per pixel, but the network was trained at "
                f"{self.mpp:.3g}. It cannot see what a coarser slide does not show: give a finer "
                f"scan, or the true pixel size with --mpp."
            ) from error


def training_scale(at: Workspace, regions: Ref) -> Scale:
    """Return the scale of some regions: the median, should their slides differ.

    Raises
    ------
    IntegrityError
        If the regions or their dataset are missing or altered.
    """
    source = open_regions(at, regions)
    catalogue = open_catalogue(at, Ref(Kind.DATASET, source.dataset))
    downsamples = [info.placement.downsample for info in source.infos]
    known = [
        info.placement.downsample * mpp
        for info in source.infos
        if (mpp := catalogue.item(info.item).mpp) is not None
    ]
    whole = len(known) == len(downsamples)
    return Scale(median(downsamples), median(known) if whole else None)
