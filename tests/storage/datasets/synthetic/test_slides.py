"""Made-up slides are real slide files, the same on every run."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import tiffslide

from models.annotations import Role
from models.errors import WorkspaceError
from storage.datasets.synthetic.sections import draw_slide, plan
from storage.datasets.synthetic.settings import SyntheticSettings
from storage.datasets.synthetic.slides import INDEX, is_made, make_dataset
from storage.tissue import tissue_of

SETTINGS = SyntheticSettings(organs=2, positive_slides=1, negative_windows=1, window_px=256)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def opened(made):
    with tiffslide.TiffSlide(made / "organ00-slide00-positive.svs") as slide:
        yield slide


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_tiffslide_lists_the_levels_of_the_pyramid(opened):
    assert opened.level_count >= 3
    assert opened.level_downsamples == pytest.approx((1, 2, 4, 8), rel=0.01)


def test_tiffslide_finds_pixel_size_and_power(opened):
    properties = opened.properties
    assert properties["tiffslide.mpp-x"] == properties["tiffslide.mpp-y"] == 0.25
    assert properties["tiffslide.objective-power"] == 40
    assert properties["tiffslide.vendor"] == "aperio"


def test_level_0_is_tiled_jpeg(opened):
    page = opened.ts_tifffile.pages[0]
    assert page.compression.name == "JPEG"
    assert page.tile == (512, 512)


def test_every_level_shows_the_drawing(opened):
    drawn = draw_slide(next(plan(SETTINGS)), SETTINGS).image
    width, height = opened.dimensions
    assert drawn.shape == (height, width, 3)
    read = opened.read_region((0, 0), 0, (width, height), as_array=True)
    assert np.abs(read.astype(int) - drawn).mean() < 4
    for level, (level_width, level_height) in enumerate(opened.level_dimensions):
        part = opened.read_region((0, 0), level, (level_width, level_height), as_array=True)
        assert part.mean(axis=(0, 1)) == pytest.approx(drawn.mean(axis=(0, 1)), abs=2)


def test_tissue_lies_on_empty_glass():
    one = next(plan(SETTINGS))
    mask = tissue_of(draw_slide(one, SETTINGS).image)
    for section in range(len(one.roles)):
        window = one.window(section)
        assert mask[window.y0 : window.y1, window.x0 : window.x1].mean() > 0.7
        mask[window.y0 : window.y1, window.x0 : window.x1] = False
    assert mask.mean() < 0.01


def test_the_same_settings_give_the_same_bytes_with_any_number_of_processes(made, tmp_path):
    make_dataset(tmp_path, SETTINGS, processes=2)
    assert hashes(tmp_path) == hashes(made)


def test_another_seed_gives_other_slides(made, tmp_path):
    make_dataset(tmp_path, SETTINGS.model_copy(update={"seed": 1}), processes=1)
    slides = [{h for name, h in hashes(one).items() if ".svs" in name} for one in (made, tmp_path)]
    assert not slides[0] & slides[1]


def test_a_made_dataset_is_left_as_it_is(made):
    before = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    make_dataset(made, SETTINGS)
    assert {path.name: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_an_unfinished_or_other_dataset_is_not_taken_for_this_one(tmp_path):
    assert not is_made(tmp_path, SETTINGS)
    (tmp_path / INDEX).write_text("{")
    assert not is_made(tmp_path, SETTINGS)
    (tmp_path / INDEX).write_text(json.dumps({"settings": {}}))
    assert not is_made(tmp_path, SETTINGS)


def test_the_index_lists_slides_with_organ_and_role(made):
    slides = json.loads((made / INDEX).read_text())["slides"]
    assert [(one["organ"], one["rest"]) for one in slides] == [
        ("organ00", "unlabelled"), ("organ00", "negative"),
        ("organ01", "unlabelled"), ("organ01", "negative"),
    ]  # fmt: skip
    positive, negative = slides[:2]
    assert 0 < positive["n_annotated"] < positive["n_cells"]
    assert negative["n_cells"] == 0


def test_progress_is_told_per_slide(tmp_path):
    seen = []
    one = SETTINGS.model_copy(update={"organs": 1})
    make_dataset(tmp_path, one, processes=1, progress=lambda *now: seen.append(now))
    assert seen == [(1, 2), (2, 2)]


def test_a_folder_that_cannot_be_made_is_a_workspace_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="file"):
        make_dataset(tmp_path / "file" / "folder", SETTINGS)


@pytest.mark.parametrize(
    ("size", "slides", "sections"), [("tiny", 12, 18), ("small", 72, 180), ("study", 72, 180)]
)
def test_the_sizes_hold_what_they_promise(size, slides, sections):
    settings = getattr(SyntheticSettings, size)(seed=5)
    found = list(plan(settings))
    assert settings.seed == 5
    assert (len(found), sum(len(one.roles) for one in found)) == (slides, sections)
    assert {role for one in found for role in one.roles} == set(Role)
    assert len({one.name for one in found}) == slides


def test_sections_lie_on_a_grid_of_their_own_size():
    for one in plan(SyntheticSettings.small()):
        for section in range(len(one.roles)):
            window = one.window(section)
            assert window.x0 % one.window_px == window.y0 % one.window_px == 0
            assert window.x1 < one.width
            assert window.y1 < one.height
