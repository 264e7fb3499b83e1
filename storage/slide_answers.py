"""What the decoder's process says of TIFF files, and what it reads of slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from models.errors import SlideError
from models.geometry.tiles import Window
from storage.decoder import overfull
from storage.tiff_files import is_flat, require_flat
from storage.tiled_slides import TiledSlide, open_tiled, quiet
from storage.tissue import TissueMap, overview_px

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROBE_PX = 64
SURVEYED_PX = 200_000_000
"""Slides whose coarsest useful level has more are not searched for tissue when they are measured:
that takes a minute, and extraction will do it."""


class SlideAnswers:
    """Answers about TIFF files; the slide that was asked for last stays open."""

    def __init__(self) -> None:
        self._slide: TiledSlide | None = None
        self._opened_as: tuple[Path, float | None] | None = None

    def close(self) -> None:
        """Close the slide that was asked for last."""
        if self._slide is not None:
            self._slide.close()
        self._slide = None

    def is_flat(self, path: str) -> bool:
        """Return whether a TIFF is one picture to be read whole, after checking that it can be.

        Raises
        ------
        ImageError
            If it is such a picture, but cannot be read faithfully.
        """
        with quiet(), tifffile.TiffFile(path) as file:
            flat = is_flat(file)
            if flat:
                require_flat(file)
            return flat

    def measure(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], Iterable[memoryview]]:
        """Return the sizes and the pixel size of a slide of which every level can be read.

        With ``tissue``, there is stained tissue on it, too. With ``overview_px``, a picture of the
        whole follows, where that is quick.

        Raises
        ------
        SlideError
            If it is not so.
        """
        slide = self._opened(request)
        reason = overfull(slide.path, sum(width * height for width, height in slide.level_sizes))
        if reason:
            raise SlideError(reason)
        for downsample in slide.level_downsamples:
            _read_a_little(slide, downsample)
        if request.get("tissue"):
            _require_tissue(slide)
        found = {
            "width": slide.width,
            "height": slide.height,
            "mpp": slide.mpp,
            "levels": slide.level_sizes,
            "shape": None,
        }
        side_px = request.get("overview_px")
        if not side_px or slide.overview_cost_px(side_px) > SURVEYED_PX:
            return found, ()
        pixels = slide.overview(side_px)[0]
        return found | {"shape": pixels.shape[:2]}, [pixels.data]

    def window(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], Iterable[memoryview]]:
        """Return the size of what was read of a slide, and its pixels."""
        slide = self._opened(request)
        window = Window(**request["window"])
        pixels = slide.read(window, request["downsample"], tuple(request["shape"]))
        return {"shape": pixels.shape[:2]}, [pixels.data]

    def _opened(self, request: Mapping[str, Any]) -> TiledSlide:
        wanted = Path(request["path"]), request["mpp"]
        if self._slide is not None and self._opened_as == wanted:
            return self._slide
        self.close()
        self._slide, self._opened_as = open_tiled(*wanted), wanted
        return self._slide


def _read_a_little(slide: TiledSlide, downsample: float) -> None:
    """Read a few pixels of the middle: damaged slides open, and fail at the first read."""
    side = round(PROBE_PX * downsample)
    x0, y0 = max(0, slide.width - side) // 2, max(0, slide.height - side) // 2
    window = Window(x0, y0, min(slide.width, x0 + side), min(slide.height, y0 + side))
    slide.read(window, downsample)


def _require_tissue(slide: TiledSlide) -> None:
    """Refuse a slide on which extraction would find nothing, where that is quick to see."""
    if slide.overview_cost_px(overview_px(slide)) > SURVEYED_PX:
        return
    try:
        tissue = TissueMap(slide)
    except SlideError as error:
        raise SlideError(str(error).removeprefix(f"{slide.name}: ")) from error
    if not tissue.mask.any():
        raise SlideError(
            "there is no stained tissue on it, only glass or grey. Leave it out, or annotate it."
        )
