"""A region that is larger than a block, with cells on every seam, and a network that sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.annotations import Annotations, Role
from models.geometry.settings import TileSettings
from models.geometry.tiles import Window
from models.instances.settings import InstanceSettings
from models.merging.settings import MergeSettings
from models.methods.detector import Detector
from models.networks.settings import NetworkSettings
from models.prediction.settings import WindowSettings
from models.runtime import Runtime
from storage.artefacts import manifest_of
from storage.datasets.catalogue import register
from storage.datasets.protocol import KnownWindow, SourceItem
from storage.detections import open_detections
from storage.layout import Kind, Ref, Workspace
from storage.regions import open_regions
from tasks.ingest import extract
from tasks.network import DetectorRecipe, DetectorSettings
from tasks.predict import predict
from tasks.stage import Run
from tests.tasks.colours import Colours

WIDTH, HEIGHT = 1000, 700
CORE_PX = 200
"""Of which there are 4 x 3 then."""
BLOCK_PX = 250 + 2 * 128
SPACING = 50
RUNTIME = Runtime("cpu", "fp32", 1)
MASKS = MergeSettings(threshold=0.4)


def drawn(boxes, height, width):
    """Return cells in those colours, inner within edge, a little different from pixel to pixel."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = 255
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = [0, 255, 0]
        image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = [0, 0, 255]
    return image - np.random.default_rng(0).integers(0, 60, image.shape, np.uint8) * (image > 0)


def crowd():
    """Return the boxes of cells of many sizes, on every place of seams; some touch."""
    rng, boxes = np.random.default_rng(1), []
    for y in range(0, HEIGHT - SPACING, SPACING):
        for x in range(0, WIDTH - SPACING, SPACING):
            width, height = rng.integers(12, SPACING + 1, 2)
            left, top = x + rng.integers(0, SPACING + 1 - width), y + rng.integers(0, 5)
            boxes.append((left, top, left + width, min(top + height, HEIGHT)))
    return boxes


def detector():
    """Return what sees the drawn cells."""
    windows = WindowSettings(window_px=256, overlap_px=32)
    return Detector(Colours(), windows, InstanceSettings(minimum_area_px=4), RUNTIME)


@dataclass(frozen=True)
class All:
    """Selects every region."""

    def of(self, source):
        """Return them."""
        return source.infos


@dataclass(frozen=True)
class Large:
    """A workspace with a large region and a small one."""

    at: Workspace
    regions: Ref

    def elsewhere(self, folder):
        """Return the same regions in a workspace of its own."""
        import shutil

        at = Workspace(folder / "elsewhere")
        for kind in (Kind.DATASET, Kind.REGIONS):
            shutil.copytree(self.at.root / kind, at.root / kind)
        return Large(at, self.regions)

    def predicted(self, run=None, masks=MASKS):
        """Return the detections in both regions."""
        return predict(
            run or Run(self.at, "large"), "predict", regions=self.regions,
            selection=All(),
            checkpoint=Ref(Kind.CHECKPOINT, "c" * 32),
            detector=DetectorRecipe(NetworkSettings(), DetectorSettings(), RUNTIME), masks=masks,
        )  # fmt: skip

    def found(self, ref):
        """Return the cells and the masks of the large region."""
        (name,) = (one.region_id for one in open_regions(self.at, self.regions).infos
                   if one.width == WIDTH)  # fmt: skip
        stored = open_detections(self.at, ref)
        return stored.detections(name), stored.masks(name)

    def files(self, ref):
        """Return the hash of each file."""
        return {name: one["sha256"] for name, one in manifest_of(self.at, ref)["files"].items()}


def large_ground(folder):
    """Return a workspace with both regions cut."""
    at, items = Workspace(folder / "workspace"), []
    for name, boxes, (height, width) in (
        ("large", crowd(), (HEIGHT, WIDTH)), ("small", [(20, 30, 50, 52)], (96, 96)),
    ):  # fmt: skip
        path = folder / f"{name}.png"
        Image.fromarray(drawn(boxes, height, width)).save(path)
        window = KnownWindow(Window(0, 0, width, height), Role.POSITIVE)
        items.append(SourceItem(name, path, width, height, None, (window,), None,
                                Annotations.none(), None))  # fmt: skip
    dataset = register(at, items, name="large").ref
    assert dataset is not None
    tiles = TileSettings(downsample=1, region_px=2048)
    return Large(at, extract(Run(at, "large"), "cut", dataset=dataset, tiles=tiles))


def rows(cells):
    """Return cells in an order that is theirs: box, outline and score."""
    return sorted(
        (tuple(box.tolist()), cells.polygons[row].tolist(), float(score))
        for row, (box, score) in enumerate(zip(cells.boxes, cells.scores, strict=True))
    )
