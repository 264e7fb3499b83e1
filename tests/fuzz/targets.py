"""What is fuzzed: for each parser a few small valid files, and what must hold of its result."""

from __future__ import annotations

import atexit
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

from storage.datasets.protocol import RefusedItem, SourceItem
from storage.images import ImageDecoder
from tests.fuzz.mutation import changed_bytes, changed_json, changed_xml, changed_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from random import Random

SIDE = 72


@dataclass(frozen=True)
class Target:
    """One parser."""

    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, Random], bytes]
    read: Callable[[bytes, Path], str | None]
    """Parse the content in an empty folder; raise AssertionError if the result is wrong. What it
    returns tells kinds of results apart."""


def picture(mode: str = "RGB", side: int = SIDE) -> Image.Image:
    """Return a small image."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).convert(mode)


def _saved(mode: str, form: str, **how: Any) -> bytes:
    out = io.BytesIO()
    picture(mode).save(out, form, **how)
    return out.getvalue()


# Images and slides. Their child is shared by all cases, as by the files of a folder.

_DECODER = ImageDecoder(memory_limit_mb=512, timeout_s=10)
atexit.register(_DECODER.close)


def _images() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 1
    return [
        _saved("RGB", "PNG"), _saved("RGBA", "PNG"), _saved("P", "PNG"), _saved("L", "PNG"),
        _saved("1", "PNG"), _saved("RGB", "JPEG", quality=80, exif=exif), _saved("L", "JPEG"),
        _saved("RGB", "JPEG", progressive=True), _saved("RGB", "BMP"), _saved("P", "BMP"),
        _saved("RGB", "TIFF", compression="tiff_lzw"), _saved("1", "TIFF", compression="group4"),
        _saved("RGB", "TIFF", compression="jpeg"), _saved("P", "TIFF"),
        _saved("RGB", "TIFF", compression="tiff_adobe_deflate"),
    ]  # fmt: skip


def _read_image(data: bytes, folder: Path) -> None:
    from models.errors import InputError
    from storage.datasets.measured import measured

    path = folder / "a.png"
    path.write_bytes(data)
    try:
        stated = measured(path, None, _DECODER)
    except InputError:
        stated = None
    found = _DECODER.measure(path, overview_px=50)
    pixels = _DECODER.decode(path)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (found.height, found.width, 3)
    assert found.overview is not None
    assert max(found.overview.shape[:2]) <= 50
    assert stated is not None
    assert (stated.width, stated.height) == (found.width, found.height)


def _slides() -> list[bytes]:
    how: list[dict[str, Any]] = [
        {"compression": "jpeg", "tile": (32, 32)}, {"compression": "lzw", "tile": (64, 64)},
        {"compression": "deflate", "tile": (32, 32), "predictor": True}, {"rowsperstrip": 10},
        {"compression": "zstd", "tile": (128, 128)},
    ]  # fmt: skip
    return [_pyramid(**one) for one in how] + [_aperio_slide()]


def _pyramid(**how: Any) -> bytes:
    out, image = io.BytesIO(), np.asarray(picture(side=160))
    where: dict[str, Any] = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(out) as file:
        file.write(image, photometric="rgb", metadata=None, subifds=1, **where, **how)
        file.write(image[::2, ::2].copy(), photometric="rgb", metadata=None, subfiletype=1, **how)
    return out.getvalue()


def _aperio_slide() -> bytes:
    out, image = io.BytesIO(), np.asarray(picture(side=160))
    about = "Aperio Image Library v12.0\r\n160x160 (64x64) JPEG/RGB Q=70|AppMag = 20|MPP = 0.5"
    tifffile.imwrite(
        out, image, photometric="rgb", compression="jpeg", tile=(64, 64), metadata=None,
        description=about, software=False,
    )  # fmt: skip
    return out.getvalue()


def _read_slide(data: bytes, folder: Path) -> None:
    from models.geometry.tiles import Window
    from storage.slides import open_slide

    path = folder / "a.svs"
    path.write_bytes(data)
    with open_slide(path, decoder=_DECODER) as slide:
        assert slide.mpp is None or 0.05 <= slide.mpp <= 20
        assert slide.level_downsamples[0] == 1
        assert slide.read(Window(10, 10, 60, 50), 1).shape == (40, 50, 3)
        assert slide.read(Window(-10, -10, 60, 50), 2).shape == (30, 35, 3)
        image, downsample = slide.overview(100)
        assert max(image.shape[:2]) <= 101
        assert downsample >= 1


def _label_images() -> list[bytes]:
    labels = np.zeros((SIDE, SIDE), np.uint16)
    labels[5:20, 5:20], labels[30:50, 20:60] = 1, 300
    deep, flat, colour = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.fromarray(labels).save(deep, "PNG")
    Image.fromarray((labels % 256).astype(np.uint8)).save(flat, "PNG")
    Image.fromarray(labels.astype(np.int32)).save(colour, "TIFF")
    return [deep.getvalue(), flat.getvalue(), colour.getvalue()]


def _read_labels(data: bytes, folder: Path) -> str:
    from storage.datasets.label_masks import labelled_cells

    path = folder / "a.png"
    path.write_bytes(data)
    values = _DECODER.labels(path)
    cells = labelled_cells("a", values)
    assert cells.annotations.boxes.shape[0] + len(cells.refused) <= len(np.unique(values))
    return "; ".join([*(one.reason for one in cells.refused), *cells.noticed])


# Annotations


def check_items(items: Iterable[SourceItem | RefusedItem]) -> str:
    """Read all items; each is refused with a reason, or right in itself. Return all reasons."""
    names, reasons = set(), []
    for item in items:
        if isinstance(item, RefusedItem):
            assert item.reason
            reasons.append(item.reason)
            continue
        reasons.append(" ".join(item.noticed))
        assert item.name not in names
        names.add(item.name)
        size = np.array([item.width, item.height] * 2)
        for cells in (item.annotations, item.truth):
            if cells is None:
                continue
            assert np.isfinite(cells.boxes).all()
            assert (cells.boxes >= 0).all()
            assert (cells.boxes <= size).all()
            assert (cells.boxes[:, 2:] > cells.boxes[:, :2]).all()
            assert np.isfinite(cells.polygons.values).all()
            assert len(set(cells.ids.tolist())) == len(cells.ids)
        for known in item.windows:
            assert 0 <= known.window.x0 < known.window.x1 <= item.width
            assert 0 <= known.window.y0 < known.window.y1 <= item.height
    return "; ".join(reasons)


def _coco_annotation(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "bbox": [5, 6, 20, 22],
        "iscrowd": 0,
        **more,
    }


def _coco() -> list[bytes]:
    outline = [[5.0, 6.0, 25.0, 6.0, 25.0, 28.0, 5.0, 28.0]]
    runs = {"size": [SIDE, SIDE], "counts": [400, 10, 62, 10, SIDE * SIDE - 482]}
    packed = {"size": [SIDE, SIDE], "counts": "PPYo1"}
    value = {
        "images": [{"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE, "mpp": 0.5,
                    "role": "positive", "complete": True, "organ": "colon"}],
        "annotations": [_coco_annotation(1, segmentation=outline, score=0.5),
                        _coco_annotation(2, segmentation=runs), _coco_annotation(3, area=440.0),
                        _coco_annotation(4, segmentation=packed)],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "other"}],
    }  # fmt: skip
    return [json.dumps(value).encode(), json.dumps({**value, "annotations": []}).encode()]


def _read_coco(data: bytes, folder: Path) -> str:
    from storage.datasets.coco import CocoReader

    picture().save(folder / "a.png")
    (folder / "annotations.json").write_bytes(data)
    return check_items(CocoReader(folder).items())


def _voc() -> list[bytes]:
    box = "<xmin>{}</xmin><ymin>6</ymin><xmax>25</xmax><ymax>28</ymax>"
    objects = "".join(
        f"<object><name>cell</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"<difficult>0</difficult><bndbox>{box.format(n)}</bndbox></object>"
        for n in (1, 5)
    )
    head = "<folder>f</folder><filename>a.png</filename><size><width>72</width><height>72</height>"
    return [
        f"<annotation>{head}<depth>3</depth></size>{objects}</annotation>".encode(),
        b'<?xml version="1.0" encoding="utf-8"?><annotation><filename>a</filename></annotation>',
    ]


def _read_voc(data: bytes, folder: Path) -> str:
    from storage.datasets.voc import VocReader

    picture().save(folder / "a.png")
    (folder / "a.xml").write_bytes(data)
    return check_items(VocReader(folder).items())


def _geojson() -> list[bytes]:
    ring = [[5, 6], [25, 6], [25, 28], [5, 28], [5, 6]]
    kinds: list[dict[str, Any]] = [
        {"type": "Polygon", "coordinates": [ring]},
        {"type": "MultiPolygon", "coordinates": [[ring], [[[x + 30, y] for x, y in ring]]]},
        {"type": "Point", "coordinates": [5, 6]},
        {"type": "Polygon", "coordinates": [[[0, 0], [60, 0], [60, 60], [0, 60], [0, 0]]]},
    ]
    features = [
        {"type": "Feature", "id": f"0000000{n}-1111-2222-3333-444444444444", "geometry": geometry,
         "properties": {"objectType": "annotation", "name": "x", "isLocked": False,
                        "classification": {"name": "Tumor" if n < 3 else "Region*",
                                           "color": [200, 0, 0]},
                        "measurements": {"Area": 5.5}}}
        for n, geometry in enumerate(kinds)
    ]  # fmt: skip
    return [
        json.dumps({"type": "FeatureCollection", "features": features}).encode(),
        json.dumps(features).encode(), json.dumps(features[0]).encode(),
    ]  # fmt: skip


def _read_geojson(data: bytes, folder: Path) -> str:
    from storage.datasets.qupath import QuPathReader

    picture().save(folder / "a.png")
    (folder / "a.geojson").write_bytes(data)
    return check_items(QuPathReader(folder).items())


def _aperio() -> list[bytes]:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in ((5, 6), (25, 6), (25, 28)))
    regions = "".join(
        f'<Region Id="{n}" Type="{kind}" Zoom="0.5" Text="t" NegativeROA="0"><Attributes/>'
        f"<Vertices>{vertices}</Vertices></Region>"
        for n, kind in enumerate((0, 1, 2, 3))
    )
    layer = (
        '<Annotation Id="1" Name="Tumor" ReadOnly="0" Visible="1" LineColor="65280" Type="4">'
        f"<Attributes/><Regions><RegionAttributeHeaders/>{regions}</Regions><Plots/></Annotation>"
    )
    return [f'<Annotations MicronsPerPixel="0.5">{layer}</Annotations>'.encode()]


def _read_aperio(data: bytes, folder: Path) -> str:
    from storage.datasets.aperio import AperioReader

    picture().save(folder / "a.png")
    (folder / "a.xml").write_bytes(data)
    return check_items(AperioReader(folder, mpp=0.5).items())


# What the command line reads


def _results() -> list[bytes]:
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [5 + n, 6, 20, 22], "score": 0.1 * n}
        for n in range(5)
    ]
    return [json.dumps(rows).encode(), b"[]"]


def _read_predictions(data: bytes, folder: Path) -> None:
    from storage.results import read_results

    (folder / "truth.json").write_bytes(_coco()[0])
    (folder / "found.json").write_bytes(data)
    read_results(folder / "truth.json", folder / "found.json", "cell")


def _read_truth(data: bytes, folder: Path) -> None:
    from storage.results import read_results

    (folder / "truth.json").write_bytes(data)
    (folder / "found.json").write_bytes(_results()[0])
    read_results(folder / "truth.json", folder / "found.json", "cell")


def _presets() -> list[bytes]:
    from tests.fuzz.root import ROOT

    return [path.read_bytes() for path in sorted((ROOT / "deployments" / "presets").glob("*.yaml"))]


def _read_preset(data: bytes, folder: Path) -> None:
    from flows.config import RetrainConfig, load_config

    path = folder / "mine.yaml"
    path.write_bytes(data)
    assert isinstance(load_config(str(path)), RetrainConfig)


# What a workspace holds


def _weights() -> list[bytes]:
    from safetensors.numpy import save

    return [save({"a.weight": np.zeros((2, 3), np.float32), "b": np.ones(4, np.int64)}), save({})]


def _read_weights(data: bytes, folder: Path) -> None:
    """Let the manifest say what the file holds, as an attacker would."""
    from storage.artefacts import commit, draft
    from storage.checkpoints import CARD, WEIGHTS, load_card, load_state
    from storage.layout import Kind, Workspace

    at = Workspace(folder / "workspace")
    with draft(at, Kind.CHECKPOINT) as work:
        (work.path / WEIGHTS).write_bytes(data)
        (work.path / CARD).write_text("{}")
        ref = commit(at, Kind.CHECKPOINT, work)
    assert load_card(at, ref) == {}
    assert all(tensor.numel() < 10**6 for tensor in load_state(at, ref).values())


def _manifests() -> list[bytes]:
    digest = hashlib.sha256(b"{}").hexdigest()
    files = {"card.json": {"size": 2, "mtime_ns": 0, "sha256": digest}}
    value = {"format_version": 1, "digest": "0" * 32, "files": files}
    return [json.dumps(value).encode()]


def _read_manifest(data: bytes, folder: Path) -> None:
    from storage.checkpoints import load_card
    from storage.layout import Kind, Ref, Workspace

    at = Workspace(folder / "workspace")
    ref = Ref(Kind.CHECKPOINT, "0" * 32)
    at.path(ref).mkdir(parents=True)
    (at.path(ref) / "card.json").write_text("{}")
    (at.path(ref) / "MANIFEST.json").write_bytes(data)
    assert load_card(at, ref) == {}


TARGETS = {
    "image": Target(_images, changed_bytes, _read_image),
    "slide": Target(_slides, changed_bytes, _read_slide),
    "labels": Target(_label_images, changed_bytes, _read_labels),
    "coco": Target(_coco, changed_json, _read_coco),
    "coco-bytes": Target(_coco, changed_bytes, _read_coco),
    "voc": Target(_voc, changed_xml, _read_voc),
    "geojson": Target(_geojson, changed_json, _read_geojson),
    "geojson-bytes": Target(_geojson, changed_bytes, _read_geojson),
    "aperio": Target(_aperio, changed_xml, _read_aperio),
    "predictions": Target(_results, changed_json, _read_predictions),
    "truth": Target(_coco, changed_json, _read_truth),
    "preset": Target(_presets, changed_yaml, _read_preset),
    "weights": Target(_weights, changed_bytes, _read_weights),
    "manifest": Target(_manifests, changed_json, _read_manifest),
}
