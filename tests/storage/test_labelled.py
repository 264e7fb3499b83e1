from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from models.annotations import Annotations, CellRecords, Polygons, Role
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Placement
from models.merging.records import human_records
from storage.labelled import LabelledRegions, RegionBlocks
from storage.regions import RegionInfo

SHAPE = (40, 60)
AT = Placement(100, 200, 2.0)
BOXES = np.array([[10.0, 4, 20, 14], [30, 20, 50, 38]])


def info(region_id, height=SHAPE[0], width=SHAPE[1]):
    return RegionInfo(
        region_id=region_id, slide="s", item="i", group="g", role=Role.POSITIVE, placement=AT,
        height=height, width=width, easy_fold=0, easy_half=0, hard_fold=0, hard_half=0,
        complete=False, attributes={},
    )  # fmt: skip


@dataclass
class Pictures:
    """Stands for `Regions` and for `LabelVersion`: counts how often something is decoded."""

    decoded: list[str] = field(default_factory=list)

    def read(self, region_id, y0, x0, height, width):
        self.decoded.append(region_id)
        rows = np.arange(y0, y0 + height)[:, None] + np.arange(x0, x0 + width)
        return np.repeat(rows[..., None], 3, axis=2).astype(np.uint8) + int(region_id)

    def classes(self, region_id):
        return rasterise(BOXES, SHAPE, EllipseSettings())[0]

    def records(self, region_id) -> CellRecords:
        boxes = AT.boxes_to_level0(BOXES)
        return human_records(Annotations(np.array(["a", "b"]), boxes, Polygons.none(2)))


@pytest.fixture
def pictures():
    return Pictures()


def labelled(pictures, n_regions=3, memory_bytes=2**30):
    infos = [info(str(number)) for number in range(n_regions)]
    return LabelledRegions(pictures, pictures, infos, memory_bytes)


def test_parts_of_image_and_classes_lie_over_each_other(pictures):
    image, classes = labelled(pictures).read(1, 4, 10, 10, 12)
    np.testing.assert_array_equal(image, pictures.read("1", 4, 10, 10, 12))
    np.testing.assert_array_equal(classes, pictures.classes("1")[4:14, 10:22])
    assert classes[5, 5] == 2  # the middle of the first cell


def test_shapes_and_roles_are_those_of_the_regions(pictures):
    source = labelled(pictures)
    assert len(source) == 3
    assert source.shape(0) == SHAPE
    assert source.role(0) is Role.POSITIVE


def test_centres_are_rows_and_columns_of_working_pixels(pictures):
    assert labelled(pictures).centres(0).tolist() == [[9, 15], [29, 40]]


def test_centres_of_cells_that_reach_out_stay_inside(pictures):
    source = LabelledRegions(pictures, pictures, [info("0", height=20, width=35)])
    assert source.centres(0).tolist() == [[9, 15], [19, 34]]


def test_a_region_is_decoded_once_while_it_fits_into_memory(pictures):
    source = labelled(pictures)
    for index in (0, 1, 0, 2, 1):
        source.read(index, 0, 0, 5, 5)
    assert pictures.decoded == ["0", "1", "2"]


def test_beyond_the_budget_the_region_read_longest_ago_is_dropped(pictures):
    region_bytes = SHAPE[0] * SHAPE[1] * 4
    source = labelled(pictures, memory_bytes=2 * region_bytes)
    for index in (0, 1, 0, 2):  # 1 goes
        source.read(index, 0, 0, 5, 5)
    for index in (0, 2, 1):
        source.read(index, 0, 0, 5, 5)
    assert pictures.decoded == ["0", "1", "2", "1"]


def test_a_budget_below_one_region_still_serves(pictures):
    source = labelled(pictures, memory_bytes=1)
    for index in (0, 1, 1):
        source.read(index, 0, 0, 5, 5)
    assert pictures.decoded == ["0", "1"]


def test_blocks_of_a_region_are_its_pixels(pictures):
    blocks = RegionBlocks(pictures, info("2"))
    assert blocks.shape == SHAPE
    np.testing.assert_array_equal(blocks.read(1, 2, 3, 4), pictures.read("2", 1, 2, 3, 4))


def test_a_region_knows_where_on_its_slide_it_lies_in_working_pixels(pictures):
    cut = replace(info("2"), placement=Placement(101.0, 40.0, 2.0))
    assert RegionBlocks(pictures, cut).place == (20, 50)
