from dataclasses import replace

import pytest

from models.errors import InputError
from models.geometry.settings import TileSettings
from storage.datasets.catalogue import register
from storage.datasets.synthetic.reader import SyntheticReader
from storage.datasets.synthetic.settings import SyntheticSettings
from storage.datasets.synthetic.slides import make_dataset
from storage.layout import Workspace
from storage.regions import extract_regions
from storage.scale import Scale, training_scale


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    settings = SyntheticSettings(
        organs=1, positive_slides=1, unlabelled_windows=0, negative_windows=1, window_px=256
    )
    make_dataset(folder, settings, processes=1)
    return folder


def scale_of(tmp_path, slides, mpp=0.25, **tiles):
    at = Workspace(tmp_path / "workspace")
    items = (replace(item, mpp=mpp) for item in SyntheticReader(slides).items())
    ref = register(at, items, name="one").ref
    assert ref is not None
    return training_scale(at, extract_regions(at, ref, TileSettings(**tiles)))


def test_the_training_scale_is_that_of_the_regions_in_micrometres(tmp_path, slides):
    assert scale_of(tmp_path, slides, downsample=2.0) == Scale(2.0, 0.5)


def test_without_a_pixel_size_only_the_downsample_is_known(tmp_path, slides):
    assert scale_of(tmp_path, slides, mpp=None, downsample=2.0) == Scale(2.0, None)


def test_micrometres_decide_where_both_sides_know_them(tmp_path):
    scale = Scale(2.0, 0.5)
    assert scale.downsample_of(tmp_path, 0.25) == 2.0
    assert scale.downsample_of(tmp_path, 0.5) == 1.0
    assert scale.downsample_of(tmp_path, 0.125) == 4.0


def test_pixels_decide_where_one_side_has_no_pixel_size(tmp_path, caplog):
    assert Scale(2.0, None).downsample_of(tmp_path, 0.5) == 2.0
    assert Scale(2.0, 0.5).downsample_of(tmp_path / "a.png", None) == 2.0
    Scale(2.0, None).say_assumed(tmp_path / "a.png", None)
    Scale(2.0, 0.5).say_assumed(tmp_path / "a.png", 0.5)
    assert not caplog.records
    Scale(2.0, 0.5).say_assumed(tmp_path / "a.png", None)
    assert "a.png has no pixel size" in caplog.text


def test_a_slide_coarser_than_the_training_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"a\.svs: has 1 micrometres.*trained at 0\.5"):
        Scale(2.0, 0.5).downsample_of(tmp_path / "a.svs", 1.0)
