"""What every reader of a dataset promises, whatever format it reads.

A new reader takes part with a line in READERS and a function that writes a dataset of its format.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from models.annotations import Role
from models.errors import InputError
from models.geometry.tiles import Window
from storage.datasets.aperio import AperioReader
from storage.datasets.coco import CocoReader
from storage.datasets.digestpath import DigestPathReader
from storage.datasets.drawn_slide import Wanted
from storage.datasets.label_masks import LabelMaskReader
from storage.datasets.protocol import DatasetReader, RefusedItem, RefusedRecord, SourceItem
from storage.datasets.qupath import QuPathReader
from storage.datasets.slide_folder import SlideFolderReader
from storage.datasets.synthetic.reader import SyntheticReader
from storage.datasets.synthetic.settings import SyntheticSettings
from storage.datasets.synthetic.slides import make_dataset
from storage.datasets.voc import VocReader

WIDTH, HEIGHT = 80, 70
BOXES = ((10, 12, 30, 40), (50, 20, 75, 66))
NAMES = ("b", "a", "d", "c")


class Written(NamedTuple):
    """A dataset of four images of one format, on disk."""

    folder: Path
    images: tuple[Path, ...]
    """The image files, in no particular order."""


@dataclass(frozen=True)
class Reader:
    """How one format is written and read."""

    write: Callable[[Path, tuple[str, ...]], Written]
    """Write a dataset with an image of each name, file by file in that order."""
    read: Callable[[Path], DatasetReader]
    takes_files: bool = False
    """Whether a path may be a file instead of a folder."""


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def write_coco(folder, names):
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for key, name in enumerate(sorted(names)):
        images.append({"id": key, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT})
        for x0, y0, x1, y1 in BOXES:
            number = len(annotations)
            box = {"id": number, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            annotations.append({"image_id": key, "category_id": 1, **box})
    content = {"images": images, "annotations": annotations}
    paths = tuple(picture(folder / f"{name}.png") for name in names)
    categories = [{"id": 1, "name": "cell"}]
    (folder / "annotations.json").write_text(json.dumps({**content, "categories": categories}))
    return Written(folder, paths)


def write_slides(folder, names):
    return Written(folder, tuple(picture(folder / f"{name}.png") for name in names))


def write_synthetic(folder, names):
    del names
    settings = SyntheticSettings(
        organs=1, positive_slides=2, negative_slides=2, negative_windows=1, window_px=256
    )
    make_dataset(folder, settings, processes=1)
    return Written(folder, tuple(folder.glob("*.svs")) or tuple(folder.glob("*.tiff")))


def voc_xml(path: Path, file_name: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(
        f"<object><name>cell</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in BOXES
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    path.write_text(f"<annotation><filename>{file_name}</filename>{size}{objects}</annotation>")


def write_voc(folder, names):
    for name in names:
        voc_xml(folder / "Annotations" / f"{name}.xml", f"{name}.png")
    paths = tuple(picture(folder / "JPEGImages" / f"{name}.png") for name in names)
    return Written(folder, paths)


def write_digestpath(folder, names):
    paths = []
    for place, name in enumerate(names):
        kind = "neg" if place == 0 else "pos"
        paths.append(picture(folder / f"sig-train-{kind}" / f"{name}.jpeg"))
        if kind == "pos":
            voc_xml(paths[-1].with_suffix(".xml"))
    return Written(folder, tuple(paths))


def write_geojson(folder, names):
    paths = tuple(picture(folder / f"{name}.png") for name in names)
    for name in names:
        places = {f"{name}{n}": box for n, box in enumerate(BOXES)} | {"r": (0, 0, WIDTH, HEIGHT)}
        features = [
            {
                "id": key,
                "geometry": {"type": "Polygon", "coordinates": [[*corners(box), corners(box)[0]]]},
                "properties": {"classification": "complete" if key == "r" else "cell"},
            }
            for key, box in places.items()
        ]
        (folder / f"{name}.geojson").write_text(json.dumps(features))
    return Written(folder, paths)


def corners(box):
    x0, y0, x1, y1 = box
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def write_aperio(folder, names):
    paths = tuple(picture(folder / f"{name}.png") for name in names)
    for name in names:
        regions = "".join(
            f'<Region Id="{n}" Type="2"><Vertices><Vertex X="{x0}" Y="{y0}"/>'
            f'<Vertex X="{x1}" Y="{y1}"/></Vertices></Region>'
            for n, (x0, y0, x1, y1) in enumerate(BOXES)
        )
        layer = f'<Annotation Id="1"><Regions>{regions}</Regions></Annotation>'
        (folder / f"{name}.xml").write_text(f"<Annotations>{layer}</Annotations>")
    return Written(folder, paths)


def write_labels(folder, names):
    for name in names:
        values = np.zeros((HEIGHT, WIDTH), np.uint16)
        for number, (x0, y0, x1, y1) in enumerate(BOXES, start=1):
            values[y0:y1, x0:x1] = number
        (folder / "labels").mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(folder / "labels" / f"{name}.png")
    return Written(folder, tuple(picture(folder / "images" / f"{name}.png") for name in names))


def write_masks(folder, names):
    paths = []
    for name in names:
        paths.append(picture(folder / name / "images" / f"{name}.png"))
        for x0, y0, x1, y1 in BOXES:
            values = np.zeros((HEIGHT, WIDTH), np.uint8)
            values[y0:y1, x0:x1] = 255
            (folder / name / "masks").mkdir(exist_ok=True)
            Image.fromarray(values).save(folder / name / "masks" / f"cell at {x0}.png")
    return Written(folder, tuple(paths))


READERS = {
    "coco": Reader(write_coco, CocoReader, takes_files=True),
    "slides": Reader(write_slides, lambda folder: SlideFolderReader(folder, Role.NEGATIVE), True),
    "synthetic": Reader(write_synthetic, SyntheticReader),
    "voc": Reader(write_voc, VocReader),
    "digestpath": Reader(write_digestpath, DigestPathReader),
    "label images": Reader(write_labels, LabelMaskReader),
    "masks of cells": Reader(write_masks, LabelMaskReader),
    "geojson": Reader(write_geojson, QuPathReader, takes_files=True),
    "aperio": Reader(
        write_aperio, lambda folder: AperioReader(folder, Wanted(role=Role.POSITIVE)), True
    ),
}


@pytest.fixture(params=READERS)
def reader(request):
    return READERS[request.param]


@pytest.fixture
def written(reader, tmp_path):
    (tmp_path / "data").mkdir()
    return reader.write(tmp_path / "data", NAMES)


def accepted_of(found) -> list[SourceItem]:
    return [one for one in found if isinstance(one, SourceItem)]


def refused_of(found) -> list[RefusedItem]:
    """Return the images that were refused, without single annotations."""
    refused = [one for one in found if isinstance(one, RefusedItem)]
    return [one for one in refused if not isinstance(one, RefusedRecord)]


def told(one, folder: Path):
    """Return all that an item says, in values that compare; its path relative to the folder."""
    if isinstance(one, RefusedItem):
        return one.name, one.reason.replace(str(folder), "")
    tables = [
        None
        if table is None
        else (table.ids.tolist(), table.boxes.tolist(), table.polygons.values.tolist())
        for table in (one.annotations, one.truth)
    ]
    path = one.path.resolve().relative_to(folder.resolve())
    rest = (one.width, one.height, one.mpp, one.windows, one.rest, one.truth_windows)
    return one.name, path, *rest, tables, dict(one.attributes), dict(one.noticed)


def test_good_files_are_all_accepted(reader, written):
    found = list(reader.read(written.folder).items())
    assert refused_of(found) == []
    paths = sorted(one.path.resolve() for one in accepted_of(found))
    assert paths == sorted(path.resolve() for path in written.images)


def test_every_item_is_named_and_everything_on_it_lies_inside(reader, written):
    items = accepted_of(reader.read(written.folder).items())
    assert len({one.name for one in items}) == len(items) == 4
    for one in items:
        assert one.path.is_file()
        whole = Window(0, 0, one.width, one.height)
        assert all(known.window.clipped(whole) == known.window for known in one.windows)
        assert one.windows or one.rest is not None
        assert all(isinstance(value, str) for value in one.attributes.values())
        for cells in (one.annotations, one.truth):
            if cells is None:
                continue
            assert len(set(cells.ids.tolist())) == len(cells)
            corners = np.concatenate([cells.boxes.reshape(-1, 2), cells.polygons.values])
            assert (corners >= 0).all()
            assert (corners <= [one.width, one.height]).all()
            assert (cells.boxes[:, 2:] > cells.boxes[:, :2]).all()


def test_a_role_never_contradicts_the_annotations(reader, written):
    for one in accepted_of(reader.read(written.folder).items()):
        roles = {known.role for known in one.windows}
        if Role.POSITIVE not in roles:
            assert len(one.annotations) == 0
        if roles == {Role.NEGATIVE} or (not roles and one.rest is Role.NEGATIVE):
            assert one.truth is not None
            assert len(one.truth) == 0


def test_reading_twice_gives_the_same(reader, written):
    once, again = reader.read(written.folder), reader.read(written.folder)
    first = [told(one, written.folder) for one in once.items()]
    assert first == [told(one, written.folder) for one in again.items()]
    assert first == [told(one, written.folder) for one in once.items()]


def test_the_order_does_not_depend_on_the_disk(reader, written, tmp_path, monkeypatch):
    if reader.write is write_synthetic:
        other = written
    elif reader.write is write_digestpath:  # the first is the negative one
        other = reader.write(tmp_path / "other", (NAMES[0], *NAMES[:0:-1]))
    else:
        other = reader.write(tmp_path / "other", NAMES[::-1])
    expected = [told(one, written.folder) for one in reader.read(written.folder).items()]
    shuffle_folders(monkeypatch)
    for _ in range(3):
        found = [told(one, other.folder) for one in reader.read(other.folder).items()]
        assert found == expected


def shuffle_folders(monkeypatch):
    """Let folders list their files in another order each time."""
    order = random.Random(0)  # noqa: S311
    scandir, listdir = os.scandir, os.listdir

    class Shuffled(list[os.DirEntry[str]]):
        def __enter__(self):
            return iter(self)

        def __exit__(self, *_):
            pass

        def close(self):
            pass

    def scanned(path="."):
        with scandir(path) as entries:
            found = Shuffled(entries)
        order.shuffle(found)
        return found

    def listed(path="."):
        found = listdir(path)
        order.shuffle(found)
        return found

    monkeypatch.setattr(os, "scandir", scanned)
    monkeypatch.setattr(os, "listdir", listed)


def test_how_many_to_expect_is_known_from_the_first_on(reader, written):
    one = reader.read(written.folder)
    for _ in one.items():
        assert one.total == 4


@pytest.mark.parametrize("how", ["cut", "text", "empty", "gone"])
def test_a_damaged_image_refuses_only_itself_by_name(reader, written, how):
    bad = sorted(written.images)[1]
    if how == "gone":
        bad.unlink()
    else:
        content = {"cut": bad.read_bytes()[:400], "text": b"not an image", "empty": b""}
        bad.write_bytes(content[how])
    one = reader.read(written.folder)
    found = list(one.items())
    accepted, refused = accepted_of(found), refused_of(found)
    assert bad.resolve() not in {item.path.resolve() for item in accepted}
    assert len(accepted) == 3
    if how == "gone" and not refused:  # nothing says that it was ever there
        assert one.total == 3
        return
    assert [bad.stem in item.name for item in refused] == [True]
    assert len(accepted) + len(refused) == one.total == 4
    assert refused[0].reason


def test_an_image_outside_the_folder_is_never_read(reader, written, tmp_path):
    away = sorted(written.images)[1]
    (tmp_path / "outside").mkdir()
    away.rename(tmp_path / "outside" / away.name)
    away.symlink_to(tmp_path / "outside" / away.name)
    found = list(reader.read(written.folder).items())
    assert len(accepted_of(found)) == 3
    assert refused_of(found)
    assert all(away.stem in one.name for one in refused_of(found))


def test_a_name_that_would_steer_a_terminal_is_refused(reader, written):
    if reader.write is write_synthetic:
        return  # its files are named by its index
    bad = sorted(written.images)[1]
    for file in [*bad.parent.parent.rglob("*")]:
        if file.is_file() and file.stem == bad.stem:
            file.rename(file.with_name(f"x\x1b[31m{file.suffix}"))
    json_path = written.folder / "annotations.json"
    if json_path.exists():
        content = json.loads(json_path.read_text())
        for image in content["images"]:
            if image["file_name"] == bad.name:
                image["file_name"] = f"x\x1b[31m{bad.suffix}"
        json_path.write_text(json.dumps(content))
    found = list(reader.read(written.folder).items())
    assert len(accepted_of(found)) == 3
    assert refused_of(found)


def test_a_folder_without_a_dataset_is_refused_as_a_whole(reader, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("text")
    for path in (tmp_path / "empty", tmp_path / "nowhere", tmp_path / "file.txt"):
        if path.is_file() and reader.takes_files:
            continue
        with pytest.raises(InputError, match=path.name):
            list(reader.read(path).items())
