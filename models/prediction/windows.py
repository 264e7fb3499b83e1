"""Predict a region window by window and blend the windows without seams."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.geometry.tiles import Area
from models.networks.segmenter import class_probabilities
from models.prediction.frozen import Frozen, freeze, threads_of
from models.prediction.grid import lay_windows, read_mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from models.prediction.grid import Axis
    from models.prediction.protocols import BlockSource
    from models.prediction.settings import WindowSettings
    from models.runtime import Runtime

    Place = tuple[int, int]

N_CLASSES = 3


@torch.inference_mode()
def predict(
    network: nn.Module,
    source: BlockSource,
    settings: WindowSettings,
    runtime: Runtime,
    area: Area | None = None,
) -> NDArray[np.float32]:
    """Return the class probabilities of one region.

    Windows overlap so far that no pixel is taken from where a window's border shows, and cross over
    in between. While the network looks at some windows a thread reads the next.

    Parameters
    ----------
    network : nn.Module
        Left as it is: a copy that only predicts is made. For many regions make it once, with
        `models.prediction.frozen.freeze`, and hand that in.
    source : BlockSource
        The region.
    settings : WindowSettings
        Largest window, smallest overlap and batch: up to a tolerance (docs/papers.md, reading 10)
        they do not change the result.
    runtime : Runtime
        Device, precision and threads. A frozen network stays on the device it was frozen for.
    area : Area, optional
        The part of the source that is asked for; the network sees what lies around it. Otherwise
        the whole source, mirrored at its border.

    Returns
    -------
    (3, h, w) float32
        Probabilities of background, edge and inner, 0 to 1.
    """
    with threads_of(runtime):
        frozen = network if isinstance(network, Frozen) else freeze(network, runtime)
        device = frozen.runtime.device
        asked = area or Area(0, 0, *source.shape)
        corner = asked.y0, asked.x0
        rows, columns = (
            lay_windows(first, first + length, settings, frozen.border_px, place)
            for first, length, place in zip(
                corner, (asked.height, asked.width), getattr(source, "place", (0, 0)), strict=True
            )
        )
        summed = torch.zeros((N_CLASSES, asked.height, asked.width), device=device)
        taper = torch.from_numpy(rows.taper[:, None] * columns.taper).to(device)
        for places, images in _windows(source, rows, columns, settings):
            found = class_probabilities(frozen(images), frozen.head)
            for (y0, x0), one in zip(places, found, strict=True):
                _add(summed, one, taper, (y0 - corner[0], x0 - corner[1]))
        total = torch.from_numpy(rows.total[:, None] * columns.total).to(device)
        blended: NDArray[np.float32] = summed.div_(total).cpu().numpy()
    return blended


def _windows(
    source: BlockSource, rows: Axis, columns: Axis, settings: WindowSettings
) -> Iterator[tuple[Sequence[Place], torch.Tensor]]:
    """Give places and pixels (n, y, x, 3) of the windows, the next ones read meanwhile."""
    places = list(product(rows.starts, columns.starts))
    starts = range(0, len(places), settings.batch)
    batches = [places[start : start + settings.batch] for start in starts]

    def read(batch: Sequence[Place]) -> torch.Tensor:
        images = [read_mirrored(source, y0, x0, rows.side, columns.side) for y0, x0 in batch]
        return torch.from_numpy(np.stack(images))

    with ThreadPoolExecutor(1, thread_name_prefix="windows") as reader:
        following = reader.submit(read, batches[0])
        for number, batch in enumerate(batches):
            images = following.result()
            if number + 1 < len(batches):
                following = reader.submit(read, batches[number + 1])
            yield batch, images


def _add(
    summed: torch.Tensor, probabilities: torch.Tensor, taper: torch.Tensor, place: Place
) -> None:
    """Add the part of a window that lies on the area, weighted."""
    y, x = (
        slice(max(0, start), min(length, start + side))
        for start, length, side in zip(place, summed.shape[1:], taper.shape, strict=True)
    )
    here = np.s_[y.start - place[0] : y.stop - place[0], x.start - place[1] : x.stop - place[1]]
    summed[:, y, x].addcmul_(probabilities[(..., *here)], taper[here])
