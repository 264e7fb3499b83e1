import numpy as np
import pytest
from PIL import Image

from models.annotations import Annotations, Role
from models.geometry.settings import TileSettings
from models.geometry.tiles import Window
from storage.cutting_slides import CUTTING
from storage.datasets.catalogue import register
from storage.datasets.protocol import KnownWindow, SourceItem
from storage.layout import Workspace
from storage.parts import Parts
from storage.regions import extract_regions, open_regions

TILES = TileSettings(downsample=2, region_px=100)
NAMES = ("a", "b", "c")


class KilledError(Exception):
    pass


def killed_when(n_slides):
    def progress(done, total):
        del total
        if done == n_slides:
            raise KilledError

    return progress


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.png" for name in NAMES]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (400, 400, 3), np.uint8)).save(path)
    return paths


def registered(at, paths):
    windows = (
        KnownWindow(Window(0, 0, 200, 200), Role.POSITIVE),
        KnownWindow(Window(200, 0, 400, 250), Role.NEGATIVE),
    )
    items = [
        SourceItem(
            name=path.stem, path=path, width=400, height=400, mpp=0.25, windows=windows, rest=None,
            annotations=Annotations.none(), truth=None, attributes={"organ": path.stem},
        )
        for path in paths
    ]  # fmt: skip
    ref = register(at, items, name="data").ref
    assert ref is not None
    return ref


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def dataset(at, pictures):
    return registered(at, pictures)


@pytest.fixture
def undisturbed(tmp_path, pictures):
    at = Workspace(tmp_path / "undisturbed")
    return extract_regions(at, registered(at, pictures), TILES)


def parts_of(tmp_path):
    return Parts(tmp_path / "parts", seal_every_s=0)


def cut_until_killed(at, dataset, tmp_path, n_slides):
    with pytest.raises(KilledError):
        extract_regions(at, dataset, TILES, killed_when(n_slides), parts=parts_of(tmp_path))


def test_slides_that_were_cut_before_a_kill_are_not_read_again(
    at, dataset, pictures, undisturbed, tmp_path
):
    cut_until_killed(at, dataset, tmp_path, 2)
    assert not list((at.root / "regions").glob("*"))
    for path in pictures[:2]:
        path.unlink()
    seen = []
    ref = extract_regions(
        at, dataset, TILES, lambda done, _: seen.append(done), parts=parts_of(tmp_path)
    )
    assert ref == undisturbed
    assert seen == [0, 1, 2, 3]
    regions = open_regions(at, ref)
    assert len(regions.infos) == 6
    assert all(np.asarray(regions.image(info.region_id)[:]).std() > 0 for info in regions.infos)


def test_a_cut_slide_that_was_harmed_meanwhile_is_cut_again(
    at, dataset, undisturbed, tmp_path, caplog
):
    cut_until_killed(at, dataset, tmp_path, 2)
    shards = (tmp_path / "parts" / "0" / "0" / "c").rglob("*")
    shard = next(path for path in shards if path.is_file())
    shard.write_bytes(bytes(len(shard.read_bytes())))
    assert extract_regions(at, dataset, TILES, parts=parts_of(tmp_path)) == undisturbed
    assert "altered since it was sealed" in caplog.text


def test_a_damaged_slide_is_left_out_after_a_kill_as_without(at, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("storage.datasets.fingerprints.look_at", lambda *_: None)
    pictures[0].write_bytes(pictures[0].read_bytes()[:5000])
    dataset = registered(at, pictures)
    cut_until_killed(at, dataset, tmp_path, 2)
    regions = open_regions(at, extract_regions(at, dataset, TILES, parts=parts_of(tmp_path)))
    assert [one.name for one in regions.refused] == ["a"]
    assert {info.item for info in regions.infos} == {"b", "c"}


def test_what_killed_attempts_had_under_way_is_removed(at, dataset, tmp_path):
    left = tmp_path / "parts" / f"{CUTTING}0"
    (left / "0").mkdir(parents=True)
    cut_until_killed(at, dataset, tmp_path, 1)
    assert not left.exists()
    assert len(list((tmp_path / "parts").glob(f"{CUTTING}*"))) == 1


def test_without_a_place_for_parts_nothing_is_left_behind(at, dataset):
    with pytest.raises(KilledError):
        extract_regions(at, dataset, TILES, killed_when(2))
    ref = extract_regions(at, dataset, TILES)
    assert [path.name for path in (at.root / "regions").iterdir()] == [ref.digest]
    assert {path.name for path in at.path(ref).iterdir()} >= {"arrays", "regions.json"}
    assert not (at.path(ref) / "cut").exists()
