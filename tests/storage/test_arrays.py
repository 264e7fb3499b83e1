import numpy as np
import pytest
import zarr
from zarr.errors import BaseZarrError

from storage.arrays import CHUNK_PX, SHARD_PX, folder_name, open_array, region_of, write_array


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 255, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 1), np.uint8), ((513, 300), np.uint32), ((70, 4100), np.uint8), ((600, 40, 3), np.uint8)],
)
def test_an_array_of_any_size_comes_back_as_it_was(tmp_path, shape, dtype):
    values = noise(shape, dtype)
    write_array(tmp_path / "a", values, fill=255)
    found = open_array(tmp_path / "a")
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_array_equal(found[:], values)


def test_small_arrays_take_small_shards_and_large_ones_the_agreed(tmp_path):
    write_array(tmp_path / "small", noise((600, 40)), fill=0)
    write_array(tmp_path / "large", np.zeros((SHARD_PX + 1, 8), np.uint8), fill=0)
    small, large = open_array(tmp_path / "small"), open_array(tmp_path / "large")
    assert (small.chunks, small.shards) == ((CHUNK_PX, CHUNK_PX), (2 * CHUNK_PX, CHUNK_PX))
    assert large.shards == (SHARD_PX, CHUNK_PX)


def test_a_part_is_read_as_the_part_of_the_whole(tmp_path):
    values = noise((700, 700))
    write_array(tmp_path / "a", values, fill=0)
    np.testing.assert_array_equal(
        open_array(tmp_path / "a")[500:530, 10:650], values[500:530, 10:650]
    )


def test_what_was_never_written_reads_as_the_fill_value(tmp_path):
    write_array(tmp_path / "a", np.full((600, 600), 255, np.uint8), fill=255)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["zarr.json"]
    assert (np.asarray(open_array(tmp_path / "a")[:]) == 255).all()


def test_every_flipped_byte_of_a_shard_is_noticed(tmp_path):
    write_array(tmp_path / "a", noise((64, 64)), fill=0)
    (shard,) = (path for path in (tmp_path / "a" / "c").rglob("*") if path.is_file())
    whole = shard.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        shard.write_bytes(bytes(damaged))
        with pytest.raises((ValueError, RuntimeError, BaseZarrError)):
            open_array(tmp_path / "a")[:]
    shard.write_bytes(whole)
    open_array(tmp_path / "a")[:]


def test_an_array_is_opened_for_reading_only(tmp_path):
    write_array(tmp_path / "a", noise((8, 8)), fill=0)
    with pytest.raises(ValueError, match="read-only"):
        open_array(tmp_path / "a")[0, 0] = 1


def test_arrays_are_of_the_third_zarr_format(tmp_path):
    write_array(tmp_path / "a", noise((8, 8)), fill=0)
    assert zarr.open_array(store=str(tmp_path / "a"), mode="r").metadata.zarr_format == 3


@pytest.mark.parametrize(
    "region_id", ["slide-a@0,512", "a b/c.d@1,2", "..", "50%", "Größe@3,4", "%2E@0,0"]
)
def test_a_region_id_is_a_safe_folder_name_and_comes_back(tmp_path, region_id):
    name = folder_name(region_id)
    (tmp_path / name).mkdir()
    assert (tmp_path / name).parent == tmp_path
    assert "." not in name
    assert region_of(name) == region_id


def test_different_region_ids_have_different_folders():
    ids = ["a.b@0,0", "a%2Eb@0,0", "a/b@0,0", "a b@0,0"]
    assert len({folder_name(one) for one in ids}) == len(ids)
