"""The regions of a dataset: windows of slides as zarr arrays at the working scale.

`storage.extraction` cuts them; this file says what a region is and reads it back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Annotations, Role
from models.errors import NotFoundError
from models.geometry.tiles import Placement
from storage.arrays import open_array
from storage.artefacts import opened
from storage.datasets.cells import CellTables
from storage.datasets.protocol import RefusedItem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

    from models.geometry.settings import TileSettings
    from models.runtime_settings import DaskSettings
    from storage.layout import Ref, Workspace
    from storage.parts import Parts

INDEX = "regions.json"
ARRAYS = "arrays"


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """What is known of one region."""

    region_id: str
    """``<item name>@<x0>,<y0>``."""
    slide: str
    item: str
    group: str
    """What hard folds keep together."""
    role: Role
    placement: Placement
    height: int
    """In working pixels."""
    width: int
    easy_fold: int
    easy_half: int
    hard_fold: int
    hard_half: int
    complete: bool
    """Whether all its cells are known."""
    attributes: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the region as JSON holds it."""
        return {**asdict(self), "attributes": dict(self.attributes)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RegionInfo:
        """Return the region that `to_json` wrote."""
        changed = {"role": Role(value["role"]), "placement": Placement(**value["placement"])}
        return cls(**{**value, **changed})


@dataclass(frozen=True)
class Regions:
    """The regions of one extraction."""

    ref: Ref
    infos: tuple[RegionInfo, ...]
    refused: tuple[RefusedItem, ...]
    """Slides that could not be cut, and why."""
    dataset: str
    """Digest of the dataset that they were cut from."""
    n_folds: int
    folder: Path

    @cached_property
    def _number(self) -> dict[str, int]:
        return {info.region_id: number for number, info in enumerate(self.infos)}

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        return {}

    @cached_property
    def _cells(self) -> CellTables:
        return CellTables(self.folder)

    def info(self, region_id: str) -> RegionInfo:
        """Return what is known of a region.

        Raises
        ------
        NotFoundError
            If there is no such region.
        """
        if region_id not in self._number:
            raise NotFoundError(
                f"{self.ref}: no region {region_id!r} among {len(self.infos)}. A region is named "
                f"<item>@<x0>,<y0>, after its slide and corner."
            )
        return self.infos[self._number[region_id]]

    def image(self, region_id: str) -> zarr.Array[Any]:
        """Return the pixels of a region as an array on disk, (h, w, 3) uint8 RGB."""
        self.info(region_id)
        if region_id not in self._arrays:
            path = array_path(self.folder, self._number[region_id])
            self._arrays[region_id] = open_array(path)
        return self._arrays[region_id]

    def read(self, region_id: str, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return a part of a region in working pixels, (height, width, 3) RGB."""
        return np.asarray(self.image(region_id)[y0 : y0 + height, x0 : x0 + width], np.uint8)

    def annotations(self, region_id: str) -> Annotations:
        """Return what a person marked in a region, in level-0 pixels: right, but incomplete."""
        return self._cells.annotations(self.info(region_id).region_id)

    def truth(self, region_id: str) -> Annotations | None:
        """Return all cells of a region in level-0 pixels, None where they are not known."""
        if not self.info(region_id).complete:
            return None
        return self._cells.truth(region_id)


def array_path(folder: Path, number: int) -> Path:
    """Return where the pixels of a region lie, by its number in the index."""
    return folder / ARRAYS / f"{number:06d}"


def open_regions(at: Workspace, ref: Ref) -> Regions:
    """Return the regions of one extraction.

    Raises
    ------
    IntegrityError
        If the artefact is missing or altered.
    """
    folder = opened(at, ref)
    value = json.loads((folder / INDEX).read_text())
    return Regions(
        ref=ref,
        infos=tuple(RegionInfo.from_json(one) for one in value["regions"]),
        refused=tuple(RefusedItem(**one) for one in value["refused"]),
        dataset=value["dataset"],
        n_folds=value["n_folds"],
        folder=folder,
    )


def extract_regions(
    at: Workspace,
    dataset: Ref,
    settings: TileSettings,
    progress: Callable[[int, int], None] | None = None,
    dask: DaskSettings | None = None,
    parts: Parts | None = None,
) -> Ref:
    """Cut a dataset's known windows and tissue into regions; see `storage.extraction.extract`."""
    from storage.extraction import extract

    return extract(at, dataset, settings, progress, dask, parts)
