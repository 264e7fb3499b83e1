from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05 import ImageLabel, Labels
from ome_zarr_models.v05.image_label_types import Label

from models.errors import IntegrityError, NotFoundError, WorkspaceError, WrongUseError
from storage.labels import levels, ome_zarr
from storage.labels.export_regions import Ground
from storage.labels.levels import Image, level_shapes, n_blocks, steps_of
from storage.labels.ome_zarr import export_ome_zarr
from storage.labels.store import open_version

WIDE = (700, 1301)
FIRST = "slide%2Ea@0,0"


@pytest.fixture
def version(workspace, versions):
    versions.shape = WIDE
    versions.drawn = {**versions.drawn, "slide.a@0,0": [[600, 300, 640, 350], [700, 20, 730, 60]]}
    found = ([1200, 600, 1240, 640],)
    return open_version(workspace, versions.round(versions.ingest(), found=found))


class Known:
    """Regions of one item each, as `Ground` asks for them."""

    def info(self, region_id):
        if region_id == "empty":
            raise NotFoundError("no such region")
        return SimpleNamespace(item="item")

    def item(self, name):
        return SimpleNamespace(mpp=0.25)


def opened(folder, name, region=FIRST):
    return zarr.open_group(str(folder / region / "labels" / name), mode="r")


def test_groups_are_what_the_ome_zarr_models_take(tmp_path, version):
    exported = export_ome_zarr(version, tmp_path)

    assert exported.n_cells == 4
    assert [path.name for path in exported.files] == ["empty", FIRST, "slide%2Ea@0,512"]
    for path in exported.files:
        labels = Labels.from_zarr(zarr.open_group(str(path / "labels"), mode="r"))
        assert labels.label_paths == ["cells", "classes"]
        for name in labels.label_paths:
            group = zarr.open_group(str(path / "labels" / name), mode="r")
            assert len(ImageLabel.from_zarr(group).attributes.ome.multiscales) == 1
            ome: Any = group.attrs["ome"]
            Label.model_validate(ome["image-label"])


@pytest.mark.parametrize("name", ["cells", "classes"])
def test_levels_are_the_stored_array_and_every_second_pixel_of_the_one_before(
    tmp_path, version, name, monkeypatch
):
    monkeypatch.setattr(levels, "SHARD_PX", 512)  # several blocks for each level
    export_ome_zarr(version, tmp_path)
    group, stored = opened(tmp_path, name), getattr(version, name)("slide.a@0,0")

    assert sorted(group.array_keys()) == ["0", "1", "2"]
    assert group["0"].dtype == stored.dtype
    assert group["0"].metadata.dimension_names == ("y", "x")
    assert np.unique(stored[:]).size > 2
    for level in range(3):
        step = 2**level
        np.testing.assert_array_equal(group[str(level)][:], stored[:][::step, ::step])


def test_transforms_give_the_centres_of_pixels_on_the_slide_in_micrometres(tmp_path, version):
    """The arrays lie at x 100, y 200, with 2 level-0 pixels of 0.25 micrometres per pixel."""
    known: Any = Known()
    export_ome_zarr(version, tmp_path, ground=Ground(known, known))
    ome: Any = opened(tmp_path, "cells").attrs["ome"]
    (scales,) = ome["multiscales"]

    assert scales["axes"] == [
        {"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")
    ]
    for level, pixel in enumerate((2, 4, 8)):
        scale, moved = scales["datasets"][level]["coordinateTransformations"]
        assert scale["scale"] == [pixel * 0.25] * 2
        half = pixel / 2 - 0.5
        assert moved["translation"] == [(200 + half) * 0.25, (100 + half) * 0.25]
    unknown = opened(tmp_path, "cells", "empty").attrs["ome"]["multiscales"][0]
    assert "unit" not in unknown["axes"][0]
    assert unknown["datasets"][0]["coordinateTransformations"][0]["scale"] == [2, 2]


def test_every_group_says_which_version_it_is_and_every_cell_its_origin(tmp_path, version):
    export_ome_zarr(version, tmp_path)
    group = opened(tmp_path, "cells")
    said = group.attrs["signetflow"]
    cells = dict(group.attrs)["ome"]["image-label"]["properties"]

    for key, value in {"version": "digest", "parent": "parent", "round": "round"}.items():
        assert said[key] == getattr(version.info, value)
    assert said["region"] == "slide.a@0,0"
    assert (said["n_cells"], said["n_described"]) == (3, 3)
    assert [one["label-value"] for one in cells] == [1, 2, 3]
    assert [one["origin"] for one in cells] == ["human", "human", "pseudo"]
    assert cells[0]["score"] is None
    assert cells[0]["annotation_id"] == "slide.a@0,0#0"
    assert 0 < cells[2]["score"] < 1
    assert (cells[2]["round"], cells[2]["checkpoint"]) == (1, "checkpoint-1")


def test_no_more_cells_are_described_than_readers_stand(tmp_path, version, monkeypatch):
    monkeypatch.setattr(ome_zarr, "MOST_PROPERTIES", 2)
    export_ome_zarr(version, tmp_path)
    group = opened(tmp_path, "cells")

    assert len(dict(group.attrs)["ome"]["image-label"]["properties"]) == 2
    assert group.attrs["signetflow"]["n_described"] == 2


def test_a_region_that_is_there_is_not_overwritten_and_nothing_else_is_written(tmp_path, version):
    (tmp_path / "slide%2Ea@0,512").mkdir()

    with pytest.raises(WrongUseError, match="already there"):
        export_ome_zarr(version, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "workspace"] == [
        "slide%2Ea@0,512"
    ]


def test_a_version_that_was_altered_leaves_no_half_of_a_region(tmp_path, version):
    (shard,) = (version.folder / FIRST / "classes" / "c").rglob("0/0")
    shard.chmod(0o600)
    shard.write_bytes(b"\0" * shard.stat().st_size)

    with pytest.raises(IntegrityError, match="altered on disk"):
        export_ome_zarr(version, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["empty"]


def test_a_region_that_cannot_be_written_is_named(tmp_path, version):
    (tmp_path / ".empty.part").write_text("")

    with pytest.raises(WorkspaceError, match="cannot be written"):
        export_ome_zarr(version, tmp_path)


def test_progress_counts_blocks_up_to_their_total(tmp_path, version):
    seen = []
    export_ome_zarr(version, tmp_path, lambda done, total: seen.append((done, total)))

    assert seen == [(done, 18) for done in range(1, 19)]


def test_levels_end_when_both_sides_are_small():
    assert level_shapes((512, 512)) == [(512, 512)]
    assert level_shapes((513, 3)) == [(513, 3), (257, 2)]


@pytest.mark.parametrize("shape", [(100, 90), (700, 1301), (2100, 1100)])
def test_a_block_is_read_only_when_what_it_is_made_of_was_written(monkeypatch, shape):
    monkeypatch.setattr(levels, "SHARD_PX", 512)
    images = tuple(Image(Path(f"/stored/{one}"), Path(f"/out/{one}"), shape) for one in "ab")
    steps, written = steps_of("r", images), {image.stored for image in images}

    for step in steps:
        before = frozenset(written)  # what others do in the same step may not be done yet
        for work in step:
            seen = set(before)
            for block in work.blocks:
                assert block.source in seen
                seen.add(block.target)
            written |= seen
    assert len([block for step in steps for one in step for block in one.blocks]) == sum(
        n_blocks(image.shape) for image in images
    )
    assert len(written) == 2 * (1 + len(level_shapes(shape)))
