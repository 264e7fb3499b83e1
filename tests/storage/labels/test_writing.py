"""Regions of a version are written wherever there is a worker; the version takes them over."""

import shutil
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from models.errors import LabelContractError, OperationsError
from storage.arrays import write_array
from storage.artefacts import problems
from storage.labels import writing
from storage.labels.contract import RegionLabels
from storage.labels.store import open_version
from storage.labels.verify import verify
from storage.layout import Kind


def test_regions_may_be_written_elsewhere_and_in_any_order(workspace, versions):
    expected = versions.ingest()
    files = {path: path.read_bytes() for path in regions_of(workspace.path(expected))}
    shutil.rmtree(workspace.path(expected))
    with versions.draft(None, 0, "annotations", "ingest") as draft:
        sites = [deepcopy(draft.site(name)) for name in reversed(versions.drawn)]
        written = [
            site.write(RegionLabels(*versions.drawn_labels(site.region_id))) for site in sites
        ]
        for one in deepcopy(written):
            draft.take(one)
        assert draft.commit() == expected
    assert {path: path.read_bytes() for path in regions_of(workspace.path(expected))} == files


def regions_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.parent != folder)


def written_twice(draft, versions, name):
    """Write a region twice, take one and return the other, with how it was written."""
    site, labels = draft.site(name), RegionLabels(*versions.drawn_labels(name))
    lost, found = site.write(labels), site.write(labels)
    assert lost.folder != found.folder
    assert lost.entry == found.entry
    draft.take(found)
    return site, labels, lost


def test_what_a_doubled_or_late_worker_writes_is_no_part_of_the_version(workspace, versions):
    with versions.draft(None, 0, "annotations", "ingest") as draft:
        written = [written_twice(draft, versions, name) for name in versions.drawn]
        site, labels, lost = written[-1]
        with pytest.raises(LabelContractError, match="written twice"):
            draft.take(lost)
        ref = draft.commit()
        late = site.write(labels).folder
        assert not late.is_relative_to(workspace.path(ref))
    assert problems(workspace, ref, thorough=True) == []
    assert verify(workspace, [ref]).findings == []
    assert [path.name for path in (workspace.root / Kind.LABELS).iterdir()] == [ref.digest]
    with pytest.raises(OperationsError, match="a worker does not see it"):
        site.write(labels)


def test_a_worker_checks_what_it_writes(versions):
    first = versions.ingest()
    placement, classes, cells, records, free = versions.next_labels(first)
    with versions.draft(first) as draft:
        site = draft.site(versions.first)
        with pytest.raises(LabelContractError, match="the person's cell 1 was lost"):
            site.write(
                RegionLabels(
                    placement, classes * 0, cells * 0, records.take(np.zeros(0, np.intp)), free
                )
            )
        stranger = draft.site("elsewhere")
        with pytest.raises(LabelContractError, match="the person's cell 1 was added"):
            stranger.write(RegionLabels(placement, classes, cells, records, free))


def test_a_region_is_read_from_any_working_directory(workspace, versions, monkeypatch, tmp_path):
    version = open_version(workspace, versions.ingest())
    monkeypatch.chdir(version.folder.parent)
    relative = type(version)(
        version.info, Path(version.folder.name), version.entries, version.hashes
    )
    region = relative.region(versions.first)
    monkeypatch.chdir(tmp_path)
    assert region.labels().records.cell_ids.tolist() == [1, 2]


def test_a_region_that_cannot_be_described_leaves_nothing_that_is_still_being_written(
    workspace, versions, monkeypatch
):
    def fails(labels):
        raise LabelContractError("planted")

    def slowly(*words):
        time.sleep(0.2)
        write_array(*words)

    monkeypatch.setattr(writing, "region_entry", fails)
    monkeypatch.setattr(writing, "write_array", slowly)
    with pytest.raises(LabelContractError, match="planted"):
        versions.ingest()
    time.sleep(0.4)
    assert list((workspace.root / Kind.LABELS).iterdir()) == []
