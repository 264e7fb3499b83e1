from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.annotations import CellRecords, Origin, Polygons, Ragged
from storage.labels.records import content_digest, human_digest, read_records, write_records


@pytest.fixture
def records():
    ring = np.array([[0.0, 0], [4, 0], [4, 4]])
    return CellRecords(
        cell_ids=np.array([3, 9], np.uint32),
        boxes=np.array([[0.5, 1, 10, 12], [3, 4, 5, 6]]),
        polygons=Polygons.of_rings([np.zeros((0, 2)), ring]),
        scores=np.array([np.nan, 0.25]),
        origins=np.array([Origin.HUMAN, Origin.PSEUDO], np.uint8),
        annotation_ids=np.array(["drüse 1", ""]),
        rounds=np.array([0, 2], np.int32),
        stages=np.array(["ingest", "self"]),
        checkpoints=np.array(["", "abc"]),
        votes=np.array([0, 2], np.int32),
        parents=Ragged.of([np.array([3]), np.array([9, 4])], np.zeros(0, np.uint32)),
    )


def test_records_come_back_as_they_were_written(tmp_path, records):
    write_records(tmp_path / "r.parquet", records)
    back = read_records(tmp_path / "r.parquet")

    assert content_digest(back) == content_digest(records)
    assert back.polygons[1].tolist() == [[0, 0], [4, 0], [4, 4]]
    assert [back.parents[row].tolist() for row in range(2)] == [[3], [9, 4]]
    assert back.annotation_ids.tolist() == ["drüse 1", ""]
    assert np.isnan(back.scores[0])


def test_no_records_come_back_as_none(tmp_path):
    write_records(tmp_path / "r.parquet", CellRecords.none())
    back = read_records(tmp_path / "r.parquet")

    assert len(back) == 0
    assert back.boxes.shape == (0, 4)
    assert content_digest(back) == content_digest(CellRecords.none())


def test_a_persons_cell_has_a_null_score_on_disk(tmp_path, records):
    write_records(tmp_path / "r.parquet", records)

    assert pq.read_table(tmp_path / "r.parquet")["score"].to_pylist() == [None, 0.25]


def test_equal_records_give_equal_bytes(tmp_path, records):
    for name in ("a", "b"):
        write_records(tmp_path / name, records)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cell_ids", np.array([3, 8], np.uint32)),
        ("boxes", np.array([[0.5, 1, 10, 12], [3, 4, 5, 7]])),
        ("polygons", Polygons.none(2)),
        ("scores", np.array([np.nan, 0.5])),
        ("origins", np.array([0, 3], np.uint8)),
        ("annotation_ids", np.array(["drüse 1", "x"])),
        ("rounds", np.array([0, 1], np.int32)),
        ("stages", np.array(["ingest", "cooperative"])),
        ("checkpoints", np.array(["", "abd"])),
        ("votes", np.array([0, 1], np.int32)),
        ("parents", Ragged.of([np.array([3, 9]), np.array([4])], np.zeros(0, np.uint32))),
    ],
)
def test_every_column_is_part_of_the_content(records, column, value):
    assert content_digest(replace(records, **{column: value})) != content_digest(records)


def test_pixels_are_part_of_the_content(records):
    mask = np.zeros((2, 3), np.uint8)

    assert content_digest(records, mask) != content_digest(records, mask + 1)
    assert content_digest(records, mask) != content_digest(records, mask.T)


def test_texts_are_told_apart_by_where_they_end(records):
    one = replace(records, annotation_ids=np.array(["ab", "c"]))
    other = replace(records, annotation_ids=np.array(["a", "bc"]))

    assert content_digest(one) != content_digest(other)


def test_the_human_digest_sees_only_the_persons_cells_and_not_their_order(records):
    two = records.take(np.array([1, 0]))

    assert human_digest(two) == human_digest(records) == human_digest(records.take(np.array([0])))
    moved = replace(records, boxes=records.boxes + 1)
    assert human_digest(moved) != human_digest(records)


def test_digests_are_those_of_every_version_that_was_ever_written(records):
    # Written down from the first release: faster code must not give old labels new names.
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(6, dtype=np.uint32)

    assert content_digest(records, *pixels).startswith("3778adcdbf521f627acbfe477bfdbaab")
    assert human_digest(records).startswith("c1a71fd9d38798c67303674cf6a11bce")
