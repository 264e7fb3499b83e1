"""What a person drew goes out to QuPath and comes back as it was."""

import json
import shutil
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.annotations import Detections, Origin, Polygons, Role
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings, TileSettings
from models.merging.records import human_records
from storage.datasets.catalogue import register
from storage.datasets.drawn import Drawn, cell_of
from storage.datasets.drawn_slide import Wanted
from storage.datasets.protocol import SourceItem
from storage.datasets.qupath import QuPathReader
from storage.extraction import extract
from storage.geojson import drawable, feature, found_features, write_features
from storage.geojson_objects import read_objects
from storage.labels.export import export_geojson
from storage.labels.export_regions import Ground
from storage.labels.store import LabelDraft, open_version
from storage.layout import Workspace
from storage.regions import open_regions

SIZE = (900, 700)
NOTHING = np.zeros((0, 2))


@st.composite
def stars(draw):
    """Draw a ring that meets itself nowhere, anywhere on a slide."""
    n_points = draw(st.integers(3, 12))
    turn = 2 * np.pi * (np.arange(n_points) + draw(st.floats(0, 1))) / n_points
    radius = np.array(draw(st.lists(st.floats(1, 40), min_size=n_points, max_size=n_points)))
    centre = draw(st.floats(50, SIZE[0] - 50)), draw(st.floats(50, SIZE[1] - 50))
    return np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius[:, None] + centre


@st.composite
def boxes(draw):
    x0, y0 = draw(st.floats(0, SIZE[0] - 60)), draw(st.floats(0, SIZE[1] - 60))
    return np.array([x0, y0, x0 + draw(st.floats(1, 60)), y0 + draw(st.floats(1, 60))])


def read_cells(path):
    found = [one for one in read_objects(path, "slide") if isinstance(one, Drawn)]
    return [cell_of(one, SIZE) for one in found]


@given(
    rings=st.lists(stars(), max_size=5), known=st.lists(boxes(), max_size=5), packed=st.booleans()
)
def test_outlines_boxes_and_ids_come_back_exactly(tmp_path_factory, rings, known, packed):
    path = tmp_path_factory.getbasetemp() / ("cells.geojson.gz" if packed else "cells.geojson")
    drawn = [(ring, np.concatenate([ring.min(axis=0), ring.max(axis=0)])) for ring in rings]
    drawn += [(NOTHING, box) for box in known]
    ids = [str(UUID(int=number)) for number in range(len(drawn))]
    outlines = [drawable(ring, box, of_pixels=False) for ring, box in drawn]
    write_features(path, (feature(i, one, {}) for i, one in zip(ids, outlines, strict=True)))
    cells = read_cells(path)
    assert [cell.id for cell in cells] == ids
    assert not any(cell.flaw for cell in cells)
    for cell, (ring, box) in zip(cells, drawn, strict=True):
        assert cell.box.tolist() == box.tolist()
        assert cell.ring.tolist() == ring.tolist()


@given(st.lists(stars(), min_size=1, max_size=5))
def test_what_a_network_found_comes_back_exactly(tmp_path_factory, rings):
    path = tmp_path_factory.getbasetemp() / "found.geojson"
    corners = np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings])
    found = Detections(corners, np.full(len(rings), 0.5), Polygons.of_rings(rings))
    write_features(path, found_features(found, "a.svs", "checkpoint"))
    cells = read_cells(path)
    assert [cell.box.tolist() for cell in cells] == corners.tolist()
    assert [cell.ring.tolist() for cell in cells] == [ring.tolist() for ring in rings]


def rectangle(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def annotation(object_id, class_name, ring, **geometry):
    shape = {"type": "Polygon", "coordinates": [ring], **geometry}
    told = {"objectType": "annotation", "classification": {"name": class_name}}
    return {"type": "Feature", "id": object_id, "geometry": shape, "properties": told}


FREEHAND = [
    [520.37, 130.01],
    [531.2, 128.4],
    [540.99, 139.5],
    [528.123456789, 147.3],
    [520.37, 130.01],
]
DRAWN = "d0000000-0000-4000-8000-00000000000{}"
MINE = "5b1e38a4-6c0c-4d3b-9a52-0a4c0a5d4f1{}"
ON_A = (
    annotation(DRAWN.format(0), "completely annotated", rectangle(10, 20, 310, 221)),
    annotation(DRAWN.format(1), "annotated", rectangle(401, 33, 700, 333)),
    annotation(DRAWN.format(2), "negative", rectangle(20, 400, 331, 650)),
    annotation(MINE.format(1).upper(), "SRC", rectangle(100.25, 60.5, 131, 95.75)),
    annotation(MINE.format(2), "SRC", rectangle(40, 50, 71, 90), isEllipse=True),
    annotation("cell 17 (é)", "SRC", FREEHAND),
)  # fmt: skip
ON_B = (
    annotation(DRAWN.format(3), "annotated", rectangle(0, 0, 900, 700)),
    annotation(MINE.format(3), "SRC", rectangle(200, 300, 233.5, 340.5)),
)


@pytest.fixture
def slides(tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    for name, objects in (("a", ON_A), ("b", ON_B)):
        Image.new("RGB", SIZE, (220, 150, 200 if name == "a" else 90)).save(folder / f"{name}.png")
        (folder / f"{name}.geojson").write_text(json.dumps(objects))
    return folder


def items(folder, *class_names) -> list[SourceItem]:
    found = list(QuPathReader(folder, Wanted(class_names), mpp=0.25).items())
    assert all(isinstance(one, SourceItem) for one in found), found
    return [one for one in found if isinstance(one, SourceItem)]


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def version(at, slides):
    """Return label version 0 of the slides, at a scale that is no whole number."""
    dataset = register(at, items(slides, "SRC"), name="mine").ref
    assert dataset is not None
    regions = open_regions(at, extract(at, dataset, TileSettings(mpp=0.502)))
    parameters = {"regions": regions.ref.digest}
    with LabelDraft(
        at, parent=None, chain="annotations", round=0, stage="ingest", parameters=parameters
    ) as draft:
        for info in regions.infos:
            if info.role is Role.UNLABELLED:
                continue
            marked = regions.annotations(info.region_id)
            boxes = info.placement.boxes_to_working(marked.boxes)
            classes, cells = rasterise(boxes, (info.height, info.width), EllipseSettings())
            records = human_records(marked)
            draft.put(info.region_id, info.placement, classes, cells, records, len(marked) + 1)
        return open_version(at, draft.commit())


def brought_back(version, at, slides, tmp_path, **how):
    """Return the slides as they are read with what was exported beside them."""
    folder = tmp_path / "back"
    export_geojson(version, folder, ground=Ground.of(at, version), **how)
    for path in slides.glob("*.png"):
        shutil.copy(path, folder)
    return items(folder)


def told(one):
    tables = [
        None
        if table is None
        else {
            key: (box, ring.tolist())
            for key, box, ring in zip(
                table.ids.tolist(), table.boxes.tolist(), table.polygons, strict=True
            )
        }
        for table in (one.annotations, one.truth)
    ]
    return one.name, set(one.windows), set(one.truth_windows), tables


@pytest.mark.parametrize("packed", [False, True])
def test_an_exported_version_that_is_ingested_again_is_the_same(
    version, at, slides, tmp_path, packed
):
    before = items(slides, "SRC")
    after = brought_back(version, at, slides, tmp_path, compressed=packed)
    assert [told(one) for one in after] == [told(one) for one in before]


def test_every_region_keeps_its_offset_on_the_slide(version, at, tmp_path):
    export_geojson(version, tmp_path / "out", ground=Ground.of(at, version))
    features = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
    found = {one["id"]: one["geometry"]["coordinates"][0] for one in features}
    assert found[MINE.format(1).upper()] == rectangle(100.25, 60.5, 131, 95.75)
    named = {one["properties"].get("name"): one["geometry"]["coordinates"][0] for one in features}
    assert named["a@401,33"] == rectangle(401, 33, 700, 333)
    assert FREEHAND in found.values()


def test_what_a_network_added_is_no_persons_mark_when_it_comes_back(version, at, slides, tmp_path):
    """Beside the cells of a person, as exported labels call them."""
    parent, region_id = version.info.ref, "b@0,0"
    records = version.records(region_id)
    placement, shape = version.placement(region_id), version.classes(region_id).shape
    box = np.array([[600.0, 500, 660, 560]])
    boxes = np.concatenate([records.boxes, box])
    classes, cells = rasterise(placement.boxes_to_working(boxes), shape, EllipseSettings())
    added = replace(
        records, cell_ids=np.array([2], np.uint32), boxes=box, scores=np.array([0.75]),
        origins=np.array([Origin.PSEUDO], np.uint8), annotation_ids=np.array([""]),
        stages=np.array(["self"]), checkpoints=np.array(["c"]), rounds=np.array([1], np.int32),
        polygons=Polygons.none(1),
    )  # fmt: skip
    with LabelDraft(at, parent=parent, chain="run", round=1, stage="self", parameters={}) as draft:
        for one in set(version.region_ids) - {region_id}:
            draft.keep(one)
        both = type(records).joined([records, added])
        draft.put(region_id, placement, classes, cells, both, 3)
        grown = open_version(at, draft.commit())
    back = brought_back(grown, at, slides, tmp_path)
    assert [told(one) for one in back] == [told(one) for one in items(slides, "SRC")]
    assert back[1].noticed == {"objects that a program found, not used (see --detections)": 1}


def test_hidden_cells_make_an_exported_region_incomplete(at, slides, tmp_path):
    """The regions say what holds of the version: its complete truth is not in it."""
    dataset = register(at, items(slides, "SRC"), name="mine", hide=0.9, seed=1).ref
    assert dataset is not None
    regions = open_regions(at, extract(at, dataset, TileSettings(mpp=0.5)))
    info = regions.info("a@10,20")
    marked = regions.annotations("a@10,20")
    assert len(marked) < len(regions.truth("a@10,20") or ())
    boxes = info.placement.boxes_to_working(marked.boxes)
    classes, cells = rasterise(boxes, (info.height, info.width), EllipseSettings())
    with LabelDraft(
        at, parent=None, chain="annotations", round=0, stage="ingest",
        parameters={"regions": regions.ref.digest},
    ) as draft:  # fmt: skip
        records = human_records(marked)
        draft.put(info.region_id, info.placement, classes, cells, records, len(marked) + 1)
        version = open_version(at, draft.commit())
    export_geojson(version, tmp_path / "out", ground=Ground.of(at, version))
    first = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"][0]
    assert first["properties"]["classification"]["name"] == "annotated"


def test_regions_whose_ground_is_gone_say_nothing(version, at, tmp_path):
    shutil.rmtree(at.root / "regions")
    export_geojson(version, tmp_path / "out", ground=Ground.of(at, version))
    features = json.loads((tmp_path / "out" / "a.geojson").read_text())["features"]
    classes = {one["properties"]["classification"]["name"] for one in features}
    assert classes == {"Region*", "human"}
