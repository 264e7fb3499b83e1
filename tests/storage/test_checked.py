import os

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from models.errors import IntegrityError
from storage.arrays import SHARD_PX, open_array, write_array
from storage.artefacts import commit, distrust_file, draft, opened, problems
from storage.checked import altered_shards, stored_shards
from storage.layout import Kind, Workspace

NOISE = np.random.default_rng(0).integers(0, 255, (520, 600), np.uint8)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a stored array of six chunks, its only shard and the bytes of that."""
    path = tmp_path_factory.mktemp("array") / "a"
    write_array(path, NOISE, fill=255)
    (shard,) = (one for one in (path / "c").rglob("*") if one.is_file())
    return path, shard, shard.read_bytes()


@given(st.data())
def test_a_flipped_bit_anywhere_in_a_shard_is_an_error_that_names_the_file(stored, data):
    path, shard, whole = stored
    position = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    shard.write_bytes(bytes(damaged))
    with pytest.raises(IntegrityError) as raised:
        open_array(path)[:]
    assert str(raised.value).startswith(f"{shard}: altered on disk")
    assert "labels verify" in str(raised.value)
    shard.write_bytes(whole)


@given(st.data())
def test_a_part_is_right_or_an_error_whatever_bit_is_flipped(stored, data):
    path, shard, whole = stored
    position = data.draw(st.integers(0, len(whole) - 1))
    shard.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    try:
        part = open_array(path)[500:515, 490:530]
    except IntegrityError:
        part = NOISE[500:515, 490:530]
    assert np.array_equal(part, NOISE[500:515, 490:530])
    shard.write_bytes(whole)


def test_a_shard_that_was_cut_short_is_named(stored):
    path, shard, whole = stored
    for length in (1, 10, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:length])
        with pytest.raises(IntegrityError, match="c/0/0: altered on disk"):
            open_array(path)[:]
    shard.write_bytes(whole)


@pytest.mark.parametrize("text", ["{", "{}", '{"zarr_format": 3}', None])
def test_a_description_that_was_altered_is_named(tmp_path, text):
    write_array(tmp_path / "a", NOISE, fill=0)
    described = tmp_path / "a" / "zarr.json"
    if text is None:
        described.unlink()
    else:
        described.write_text(text)
    with pytest.raises(IntegrityError, match=r"zarr\.json: altered on disk"):
        open_array(tmp_path / "a")


def test_only_the_shards_that_were_altered_are_named(tmp_path):
    write_array(tmp_path / "a", np.resize(NOISE, (SHARD_PX + 9, 300)), fill=0)
    first, second = [path for path, _ in stored_shards(open_array(tmp_path / "a"))]
    assert altered_shards(open_array(tmp_path / "a")) == []
    second.write_bytes(second.read_bytes()[:-1])

    assert altered_shards(open_array(tmp_path / "a")) == [second]
    assert (first.parent.name, second.parent.name) == ("0", "1")
    open_array(tmp_path / "a")[:SHARD_PX]


def test_the_parts_of_stored_shards_make_up_what_is_stored(tmp_path):
    values = np.zeros((SHARD_PX + 9, 40), np.uint8)
    values[SHARD_PX:] = 1
    write_array(tmp_path / "a", values, fill=0)
    ((path, where),) = stored_shards(open_array(tmp_path / "a"))

    assert path.is_file()
    assert (values[where] == 1).all()
    assert values[where].shape == (9, 40)


def test_a_selection_that_makes_no_sense_is_still_the_callers_error(stored):
    with pytest.raises(IndexError):
        open_array(stored[0])[1, 2, 3]
    with pytest.raises(TypeError, match="slice indices"):
        open_array(stored[0])["a":]


def test_only_arrays_in_folders_are_checked():
    array = zarr.create_array(store=MemoryStore(), shape=(4,), dtype="u1")
    with pytest.raises(TypeError, match="only arrays in folders"):
        altered_shards(array)


def test_an_altered_artefact_that_was_read_is_noticed_by_the_next_check(tmp_path):
    at = Workspace(tmp_path)
    with draft(at, Kind.REGIONS) as work:
        write_array(work.path / "a", NOISE, fill=0)
        ref = commit(at, Kind.REGIONS, work)
    shard = at.path(ref) / "a" / "c" / "0" / "0"
    times, whole = shard.stat(), bytearray(shard.read_bytes())
    whole[100] ^= 4
    shard.write_bytes(bytes(whole))
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert problems(at, ref) == []
    with pytest.raises(IntegrityError):
        open_array(opened(at, ref) / "a")[:]
    assert "its content differs" in problems(at, ref)[0]


def test_a_file_that_is_gone_or_not_ours_is_distrusted_in_silence(tmp_path):
    distrust_file(tmp_path / "nothing")
