"""Slides become regions: what a person looked at, and the tissue around it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.annotations import Annotations, Polygons, Role
from models.errors import (
    EmptyDatasetError,
    InputError,
    IntegrityError,
    NotFoundError,
    SlideError,
)
from models.geometry.settings import TileSettings
from models.geometry.tiles import Placement, Window
from storage.artefacts import problems
from storage.datasets.catalogue import register
from storage.datasets.protocol import KnownWindow, SourceItem
from storage.datasets.synthetic.slides import write_svs
from storage.layout import Ref, Workspace
from storage.regions import extract_regions, open_regions
from storage.slides import ImageSlide, SlideFile

PINK = (225, 170, 210)
TILES = TileSettings(downsample=2, region_px=100)


def cells(*boxes):
    ids = np.array([f"cell{n}" for n in range(len(boxes))], np.str_)
    return Annotations(ids, np.array(boxes, float).reshape(-1, 4), Polygons.none(len(boxes)))


def picture(path, tissue=(), side=800):
    """Write glass with pink squares ``x0, y0, x1, y1``."""
    image = np.full((side, side, 3), 243, np.uint8)
    for x0, y0, x1, y1 in tissue:
        image[y0:y1, x0:x1] = PINK
    Image.fromarray(image).save(path)
    return path


def registered(at: Workspace, *items: SourceItem, **how: Any) -> Ref:
    ref = register(at, items, name="data", **how).ref
    assert ref is not None
    return ref


def item(path, windows=(), rest=None, annotations=None, truth=None, **other):
    found = {
        "name": path.stem, "path": path, "width": 800, "height": 800, "mpp": 0.25,
        "windows": tuple(KnownWindow(Window(*box), role) for box, role in windows), "rest": rest,
        "annotations": annotations or Annotations.none(), "truth": truth,
        "attributes": {"organ": "skin"},
    }  # fmt: skip
    return SourceItem(**{**found, **other})


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def cut(at):
    def run(*items, settings=TILES, **how):
        ref = registered(at, *items, group_by=("slide",), **how)
        return open_regions(at, extract_regions(at, ref, settings))

    return run


def test_a_known_window_becomes_a_region_as_it_is(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(130, 50, 430, 350)])
    regions = cut(item(path, [((130, 50, 430, 350), Role.POSITIVE)]))
    (info,) = regions.infos
    assert (info.region_id, info.item, info.slide) == ("a@130,50", "a", "a")
    assert (info.role, info.height, info.width) == (Role.POSITIVE, 150, 150)
    assert info.placement == Placement(130.0, 50.0, 2.0)
    assert info.attributes["organ"] == "skin"
    assert (regions.read("a@130,50", 0, 0, 150, 150) == PINK).all()


def test_tissue_outside_known_windows_becomes_regions_on_the_grid(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(0, 0, 800, 400)])
    known = [((200, 0, 400, 200), Role.POSITIVE)]
    regions = cut(item(path, known, rest=Role.UNLABELLED))
    places = {info.region_id: info.role for info in regions.infos}
    grid = {f"a@{x},{y}" for x in (0, 200, 400, 600) for y in (0, 200)}
    assert set(places) == grid
    assert places.pop("a@200,0") is Role.POSITIVE
    assert set(places.values()) == {Role.UNLABELLED}


def test_a_region_needs_enough_tissue(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(0, 0, 320, 200)])
    strict = TILES.model_copy(update={"minimum_tissue": 0.8})
    assert [one.region_id for one in cut(item(path, rest=Role.NEGATIVE)).infos] == [
        "a@0,0", "a@200,0",
    ]  # fmt: skip
    one = cut(item(path, rest=Role.NEGATIVE), settings=strict)
    assert [info.region_id for info in one.infos] == ["a@0,0"]


def test_the_rest_of_an_item_without_a_role_is_not_used(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(0, 0, 800, 800)])
    assert len(cut(item(path, [((0, 0, 200, 200), Role.NEGATIVE)])).infos) == 1


def test_a_cell_belongs_to_the_region_of_its_centre_and_keeps_its_level_0_box(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(0, 0, 400, 200)])
    inside, across, outside = (10, 10, 30, 30), (190, 50, 220, 80), (500, 500, 520, 520)
    truth = cells(inside, across, outside)
    known = [((0, 0, 200, 200), Role.POSITIVE)]
    regions = cut(item(path, known, Role.UNLABELLED, cells(inside), truth))
    assert regions.annotations("a@0,0").boxes.tolist() == [list(inside)]
    assert regions.truth("a@0,0").boxes.tolist() == [list(inside)]
    assert regions.truth("a@200,0").boxes.tolist() == [list(across)]
    assert len(regions.annotations("a@200,0")) == 0


def test_unknown_truth_is_none_and_known_emptiness_is_empty(tmp_path, cut):
    window = [((0, 0, 200, 200), Role.NEGATIVE)]
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", [(0, 0, 9, 9)])
    regions = cut(item(a, window), item(b, window, truth=Annotations.none()))
    assert regions.truth("a@0,0") is None
    assert len(regions.truth("b@0,0")) == 0
    assert [info.complete for info in regions.infos] == [False, True]


def test_truth_that_holds_in_one_window_is_claimed_for_no_other(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(0, 0, 600, 200)])
    known = [((0, 0, 200, 200), Role.POSITIVE), ((200, 0, 400, 200), Role.POSITIVE)]
    truth, where = cells((10, 10, 30, 30)), (Window(0, 0, 200, 200),)
    regions = cut(item(path, known, Role.UNLABELLED, truth, truth, truth_windows=where))
    complete = {info.region_id: info.complete for info in regions.infos}
    assert complete == {"a@0,0": True, "a@200,0": False, "a@400,0": False}
    assert regions.truth("a@200,0") is None


def test_the_arrays_are_sharded_zarr_with_checksums_of_the_chunks(tmp_path, cut):
    path = picture(tmp_path / "a.png")
    regions = cut(item(path, [((0, 0, 800, 800), Role.POSITIVE)]))
    array = regions.image("a@0,0")
    assert array.shape == (400, 400, 3)
    assert (array.chunks, array.shards) == ((512, 512, 3), (4096, 4096, 3))
    metadata = json.dumps(array.metadata.to_dict()["codecs"])
    assert "crc32c" in metadata
    assert "bitshuffle" in metadata


@pytest.mark.parametrize(("downsample", "tolerance"), [(2, 0), (3, 3), (1.37, 3)])
def test_large_windows_are_written_block_by_block(
    tmp_path, cut, monkeypatch, downsample, tolerance
):
    path = tmp_path / "a.png"
    ramp = (np.arange(800) / 4).astype(np.uint8)
    Image.fromarray(
        np.dstack([ramp + 0 * ramp[:, None], ramp[:, None] + 0 * ramp] * 2)[..., :3]
    ).save(path)
    window = [((0, 0, 800, 800), Role.POSITIVE)]
    tiles = TileSettings(downsample=downsample)
    side = round(800 / downsample)
    whole = cut(item(path, window), settings=tiles).read("a@0,0", 0, 0, side, side)
    monkeypatch.setattr("storage.cutting.BLOCK_PX", 128)
    monkeypatch.setattr("storage.cutting.CHUNK_PX", 64)
    pieces = cut(item(path, window), settings=tiles).read("a@0,0", 0, 0, side, side)
    assert pieces.shape == whole.shape == (side, side, 3)
    # Where the scale is not whole, a block starts up to half a pixel aside.
    assert np.abs(pieces.astype(int) - whole).max() <= tolerance


def test_the_same_dataset_gives_the_same_regions_in_another_workspace(tmp_path):
    path = picture(tmp_path / "a.png", [(0, 0, 400, 400)])
    refs = []
    for name in "ab":
        at = Workspace(tmp_path / name)
        dataset = registered(at, item(path, rest=Role.NEGATIVE))
        refs.append(extract_regions(at, dataset, TILES))
        assert problems(at, refs[-1], thorough=True) == []
    assert refs[0] == refs[1]


def test_other_tiles_are_other_regions(tmp_path, at):
    path = picture(tmp_path / "a.png", [(0, 0, 400, 400)])
    ref = registered(at, item(path, rest=Role.NEGATIVE))
    finer = TileSettings(downsample=1, region_px=200)
    assert extract_regions(at, ref, TILES) != extract_regions(at, ref, finer)


@pytest.fixture
def unseen(monkeypatch):
    """Let files be registered that nobody looked into."""
    monkeypatch.setattr("storage.datasets.fingerprints.look_at", lambda *_: None)


def test_a_damaged_image_is_left_out_with_its_reason_and_the_rest_is_cut(tmp_path, cut, unseen):
    bad, good = picture(tmp_path / "a.png", side=801), picture(tmp_path / "b.png")
    bad.write_bytes(bad.read_bytes()[:300])
    window = [((0, 0, 200, 200), Role.POSITIVE)]
    regions = cut(item(bad, window), item(good, window))
    assert [info.item for info in regions.infos] == ["b"]
    assert [one.name for one in regions.refused] == ["a"]
    assert "damaged" in regions.refused[0].reason


def test_an_image_of_another_size_than_its_dataset_says_is_left_out(tmp_path, cut, unseen):
    odd, good = picture(tmp_path / "a.png", side=640), picture(tmp_path / "b.png")
    window = [((0, 0, 200, 200), Role.POSITIVE)]
    regions = cut(item(odd, window), item(good, window))
    assert "640 x 640 px, but its dataset says 800 x 800" in regions.refused[0].reason


def test_a_slide_that_breaks_half_way_leaves_nothing_behind(tmp_path, cut, monkeypatch):
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", [(0, 0, 9, 9)])
    read = ImageSlide.read

    def breaks(self, window, downsample, shape=None):
        if self.name == "a.png" and window.x0:
            raise SlideError("a.png: broken")
        return read(self, window, downsample, shape)

    monkeypatch.setattr(ImageSlide, "read", breaks)
    windows = [((x, 0, x + 200, 200), Role.POSITIVE) for x in (0, 200)]
    regions = cut(item(a, windows), item(b, windows))
    assert [info.region_id for info in regions.infos] == ["b@0,0", "b@200,0"]
    assert len(list((regions.folder / "arrays").iterdir())) == 2


def test_a_slide_that_breaks_in_one_of_its_blocks_is_left_out_and_read_no_further(
    tmp_path, cut, monkeypatch
):
    for name in "ab":
        write_svs(tmp_path / f"{name}.svs", np.full((1000, 1000, 3), 100 + ord(name), np.uint8))
    read, seen = SlideFile.read, []

    def breaks(self, window, downsample, shape=None):
        seen.append((self.name, window))
        if self.name == "a.svs" and (window.x0, window.y0) == (128, 0):
            raise SlideError("a.svs: broken")
        return read(self, window, downsample, shape)

    monkeypatch.setattr(SlideFile, "read", breaks)
    monkeypatch.setattr("storage.cutting.BLOCK_PX", 128)
    monkeypatch.setattr("storage.cutting.CHUNK_PX", 64)
    windows, size = [((0, 0, 1000, 1000), Role.POSITIVE)], {"width": 1000, "height": 1000}
    items = [item(tmp_path / f"{name}.svs", windows, **size) for name in "ab"]
    regions = cut(*items, settings=TileSettings(downsample=1))
    assert [(one.name, one.reason) for one in regions.refused] == [("a", "a.svs: broken")]
    assert [info.region_id for info in regions.infos] == ["b@0,0"]
    assert len([name for name, _ in seen if name == "b.svs"]) == 64
    assert len([name for name, _ in seen if name == "a.svs"]) < 32
    assert sorted(path.name for path in regions.folder.iterdir() if path.is_dir()) == ["arrays"]


def test_a_dataset_without_any_tissue_is_refused(tmp_path, at, cut):
    with pytest.raises(EmptyDatasetError, match="minimum_tissue"):
        cut(item(picture(tmp_path / "a.png"), rest=Role.UNLABELLED))
    assert not list((at.root / "regions").iterdir())


def test_a_changed_image_is_not_cut(tmp_path, at):
    path = picture(tmp_path / "a.png")
    ref = registered(at, item(path, [((0, 0, 9, 9), Role.POSITIVE)]))
    picture(path, [(0, 0, 100, 100)])
    with pytest.raises(IntegrityError, match="changed"):
        extract_regions(at, ref, TILES)


def test_micrometres_are_refused_before_anything_is_read(tmp_path, cut):
    path = picture(tmp_path / "a.png")
    path_item = item(path, [((0, 0, 9, 9), Role.POSITIVE)], mpp=None)
    with pytest.raises(InputError, match=r"a: .*--mpp"):
        cut(path_item, settings=TileSettings(mpp=0.5))


def test_progress_is_told_per_slide(tmp_path, at):
    paths = [picture(tmp_path / f"{name}.png", [(0, 0, n, n)]) for n, name in enumerate("ab", 1)]
    items = [item(path, [((0, 0, 200, 200), Role.POSITIVE)]) for path in paths]
    seen = []
    ref = registered(at, *items)
    extract_regions(at, ref, TILES, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_an_unknown_region_is_not_found(tmp_path, cut):
    regions = cut(item(picture(tmp_path / "a.png"), [((0, 0, 200, 200), Role.POSITIVE)]))
    with pytest.raises(NotFoundError, match="nope"):
        regions.info("nope")


def test_the_regions_of_a_slide_are_spread_over_easy_folds_and_stay_in_one_hard_fold(tmp_path, cut):
    path = picture(tmp_path / "a.png", [(0, 0, 800, 800)])
    infos = cut(item(path, rest=Role.NEGATIVE)).infos
    assert len(infos) == 16
    assert {info.easy_fold for info in infos} == {0, 1, 2}
    assert {info.easy_half for info in infos} == {0, 1}
    assert len({(info.hard_fold, info.hard_half) for info in infos}) == 1
