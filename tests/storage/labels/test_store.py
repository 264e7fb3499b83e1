import os
from dataclasses import replace

import numpy as np
import pytest

from models.annotations import CellRecords, Origin
from models.errors import IntegrityError, LabelContractError, NotFoundError
from storage.artefacts import problems
from storage.labels.store import open_version
from storage.layout import Kind, Ref


def test_version_0_holds_what_was_put(workspace, versions):
    version = open_version(workspace, versions.ingest(regions="abc"))

    placement, classes, cells, records, next_cell_id = versions.drawn_labels(versions.first)
    assert version.region_ids == ("empty", "slide.a@0,0", "slide.a@0,512")
    assert np.array_equal(version.classes(versions.first)[:], classes)
    assert np.array_equal(version.cells(versions.first)[:], cells)
    assert version.records(versions.first).boxes.tolist() == records.boxes.tolist()
    assert version.placement(versions.first) == placement
    assert version.next_cell_id(versions.first) == next_cell_id == 3
    assert len(version.records("empty")) == 0


def test_a_version_says_how_it_came_about(workspace, versions):
    first = versions.ingest(regions="abc")
    ref = versions.round(first, threshold=0.7)
    info = open_version(workspace, ref).info

    assert info.ref == ref
    assert (info.parent, info.chain, info.round, info.stage) == (first.digest, "run-0", 1, "self")
    assert info.parameters == {"threshold": 0.7}
    assert info.n_cells == {"human": 3, "pseudo": 2}
    assert (info.count(Origin.PSEUDO), info.count(Origin.WEAK)) == (2, 0)
    assert info.n_regions == 3
    assert info.human_source == first.digest
    before = open_version(workspace, first).info
    assert (info.human_count, info.human_digest) == (before.human_count, before.human_digest)
    assert (before.human_count, before.human_source) == (3, first.digest)


def test_arrays_are_stored_as_the_contract_says(workspace, versions):
    version = open_version(workspace, versions.ingest())

    for array, dtype, fill in ((version.classes, "uint8", 255), (version.cells, "uint32", 0)):
        stored = array(versions.first)
        assert (stored.dtype, stored.fill_value) == (np.dtype(dtype), fill)
        assert (stored.chunks, stored.shards) == ((512, 512), (512, 512))
        described = str(stored.metadata.to_dict())
        assert all(word in described for word in ("zstd", "bitshuffle", "crc32c"))


def test_the_same_labels_twice_are_one_version(workspace, versions):
    first = versions.ingest(regions="abc")

    assert versions.ingest(regions="abc") == first
    assert len(list((workspace.root / "labels").iterdir())) == 1
    assert versions.ingest(regions="other") != first
    assert versions.ingest(chain="other", regions="abc") != first


def test_other_pixels_or_another_parent_are_another_version(versions):
    first = versions.ingest()
    one = versions.round(first)

    assert versions.round(first, found=versions.found[:1]) != one
    assert versions.round(one) != one


def test_kept_regions_share_their_files_with_the_parent(workspace, versions):
    first = versions.ingest()
    second = versions.round(first)

    kept = "slide%2Ea@0,512"
    files = [p for p in (workspace.path(second) / kept).rglob("*") if p.is_file()]
    assert len(files) >= 5
    for path in files:
        original = workspace.path(first) / path.relative_to(workspace.path(second))
        assert path.samefile(original)
    assert not problems(workspace, second, thorough=True)


def test_a_kept_region_counts_as_the_same_content_as_when_it_is_put(workspace, versions):
    first = versions.ingest()
    kept = versions.round(first)
    with versions.draft(first) as draft:
        draft.put(versions.first, *versions.next_labels(first))
        for region_id in list(versions.drawn)[1:]:
            draft.put(region_id, *versions.drawn_labels(region_id))
        assert draft.commit() == kept


def test_a_draft_that_is_not_committed_leaves_nothing(workspace, versions):
    with versions.draft(None, stage="ingest") as draft:
        draft.put("empty", *versions.drawn_labels("empty"))

    assert list((workspace.root / "labels").iterdir()) == []


def test_more_tissue_may_be_labelled_than_in_the_parent(workspace, versions):
    first = versions.ingest()
    with versions.draft(first) as draft:
        for region_id in versions.drawn:
            draft.keep(region_id)
        draft.put("extra", *versions.drawn_labels("empty"))
        ref = draft.commit()

    assert "extra" in open_version(workspace, ref).region_ids


def test_a_region_in_which_a_person_drew_may_not_be_left_out(versions):
    first = versions.ingest()
    with versions.draft(first) as draft:
        draft.keep(versions.first)
        with pytest.raises(LabelContractError, match=r"slide\.a@0,512: its 1 cells of a person"):
            draft.commit()


def test_a_region_without_a_persons_cells_may_be_left_out(versions):
    first = versions.ingest()
    with versions.draft(first) as draft:
        draft.keep(versions.first)
        draft.keep("slide.a@0,512")
        draft.commit()


def test_import_may_change_a_persons_cells_and_later_rounds_follow_it(workspace, versions):
    first = versions.ingest()
    placement, classes, cells, records, next_cell_id = versions.drawn_labels(versions.first)
    cells[cells == 2] = 0
    classes[cells == 0] = 0
    with versions.draft(first, stage="import") as draft:
        draft.put(versions.first, placement, classes, cells, records.take(np.array([0])), 3)
        draft.keep("slide.a@0,512")
        imported = draft.commit()
    assert next_cell_id == 3
    info = open_version(workspace, imported).info
    assert (info.human_count, info.human_source) == (2, imported.digest)
    with versions.draft(imported) as draft:
        draft.put(versions.first, *versions.next_labels(imported))
        draft.keep("slide.a@0,512")
        later = draft.commit()
    assert open_version(workspace, later).info.human_source == imported.digest


def test_a_region_is_put_once(versions):
    with versions.draft(None, stage="ingest") as draft:
        draft.put("empty", *versions.drawn_labels("empty"))
        with pytest.raises(LabelContractError, match="region empty: written twice"):
            draft.put("empty", *versions.drawn_labels("empty"))


def test_only_a_region_of_the_parent_can_be_kept(versions):
    with (
        versions.draft(versions.ingest()) as draft,
        pytest.raises(NotFoundError, match="region nowhere cannot be kept"),
    ):
        draft.keep("nowhere")


def test_an_unknown_region_is_named(workspace, versions):
    version = open_version(workspace, versions.ingest())

    with pytest.raises(NotFoundError, match="has no region nowhere; 'signetflow labels show"):
        version.classes("nowhere")


def test_a_missing_or_damaged_version_is_refused(workspace, versions):
    with pytest.raises(IntegrityError, match="deleted or damaged"):
        open_version(workspace, Ref(Kind.LABELS, "0" * 32))
    ref = versions.ingest()
    (workspace.path(ref) / "regions.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"regions\.json"):
        open_version(workspace, ref)


def flip(path, position):
    """Flip one bit and leave size and time as they were, as a disk that forgets does."""
    times, content = path.stat(), bytearray(path.read_bytes())
    content[position % len(content)] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("name", ["version.json", "regions.json"])
@pytest.mark.parametrize("position", [20, 500, -30])
def test_a_flipped_bit_in_a_description_is_named(workspace, versions, name, position):
    ref = versions.round(versions.ingest())
    flip(workspace.path(ref) / name, position)

    with pytest.raises(IntegrityError, match=rf"{name}: altered on disk"):
        open_version(workspace, ref)


@pytest.mark.parametrize("position", range(0, 4000, 397))
def test_a_flipped_bit_in_the_records_is_named(workspace, versions, position):
    ref = versions.ingest()
    flip(workspace.path(ref) / "slide%2Ea@0,0" / "records.parquet", position)

    version = open_version(workspace, ref)
    with pytest.raises(IntegrityError, match=r"slide%2Ea@0,0/records\.parquet: altered on disk"):
        version.records(versions.first)
    assert problems(workspace, ref)


@pytest.mark.parametrize("name", ["classes", "cells"])
def test_a_flipped_bit_in_the_pixels_is_named(workspace, versions, name):
    ref = versions.ingest()
    flip(workspace.path(ref) / "slide%2Ea@0,0" / name / "c" / "0" / "0", 77)

    array = getattr(open_version(workspace, ref), name)(versions.first)
    with pytest.raises(IntegrityError, match=rf"{name}/c/0/0: altered on disk"):
        array[:]


def test_a_new_region_may_not_bring_a_persons_cells_along(versions):
    first = versions.ingest()
    with (
        versions.draft(first) as draft,
        pytest.raises(LabelContractError, match="region extra: the person's cell 1 was added"),
    ):
        draft.put("extra", *versions.drawn_labels("slide.a@0,512"))


def test_a_found_cell_loses_nothing_when_it_is_stored(workspace, versions):
    first = versions.ingest()
    expected = versions.next_labels(first)[3]
    stored = open_version(workspace, versions.round(first)).records(versions.first)

    for name in CellRecords.__dataclass_fields__:
        one, other = getattr(stored, name), getattr(expected, name)
        if hasattr(one, "offsets"):
            assert np.array_equal(one.offsets, other.offsets)
            one, other = one.values, other.values
        assert (
            one.tolist() == pytest.approx(other.tolist(), nan_ok=True)
            if (one.dtype.kind == "f" and one.ndim == 1)
            else one.tolist() == other.tolist()
        )
        assert one.dtype.kind == other.dtype.kind
    assert replace(stored, scores=expected.scores).is_human.tolist() == [True, True, False, False]
