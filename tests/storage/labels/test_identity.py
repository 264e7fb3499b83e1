from dataclasses import replace

import numpy as np
import pytest

from models.geometry.tiles import Placement
from storage.labels.contract import RegionLabels
from storage.labels.identity import region_entry, version_digest
from storage.labels.store import open_version

FACTS = {"parent": None, "chain": "c", "round": 0, "stage": "ingest", "parameters": {"a": [1]}}


@pytest.fixture
def labels(versions):
    return RegionLabels(*versions.drawn_labels(versions.first))


def test_a_region_is_described_as_it_was_committed(workspace, versions, labels):
    version = open_version(workspace, versions.ingest())

    assert region_entry(labels) == version.entries[versions.first]


def test_a_version_is_named_as_it_was_committed(workspace, versions):
    for ref in (versions.ingest(), versions.round(versions.ingest(), threshold=0.7)):
        version = open_version(workspace, ref)
        assert version_digest(version.info.to_json(), version.entries) == ref.digest


def test_names_are_those_of_every_version_that_was_ever_written(labels):
    # Written down from the first release: faster code must not give old labels new names.
    entry = replace(region_entry(labels), content="abc")

    assert version_digest(FACTS, {"r": entry}) == "8e8c65c50288431a9c885085d545d5bc"


@pytest.mark.parametrize("name", list(FACTS))
def test_every_fact_is_part_of_the_name(labels, name):
    entries = {"r": region_entry(labels)}

    assert version_digest(FACTS | {name: 7}, entries) != version_digest(FACTS, entries)
    assert version_digest(FACTS | {"created": 7}, entries) == version_digest(FACTS, entries)


@pytest.mark.parametrize(
    "change",
    [
        {"placement": Placement(1, 0, 2.0)},
        {"next_cell_id": 99},
        {"classes": np.zeros((60, 90), np.uint8)},
        {"cells": np.zeros((60, 90), np.uint32)},
    ],
)
def test_everything_in_a_region_is_part_of_its_content(labels, change):
    assert region_entry(replace(labels, **change)).content != region_entry(labels).content
