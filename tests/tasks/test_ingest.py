import numpy as np

from models.annotations import Origin, Role
from storage.labels.store import open_version
from storage.regions import open_regions


def test_version_0_holds_every_region_of_which_a_person_said_something(ground):
    source = open_regions(ground.at, ground.regions)
    version = open_version(ground.at, ground.annotated)
    known = {info.region_id for info in source.infos if info.role is not Role.UNLABELLED}
    assert set(version.region_ids) == known
    assert len(known) == 12


def test_version_0_holds_what_a_person_marked_and_never_the_complete_truth(ground):
    source = open_regions(ground.at, ground.regions)
    version = open_version(ground.at, ground.annotated)
    for region_id in version.region_ids:
        marked, records = source.annotations(region_id), version.records(region_id)
        assert records.annotation_ids.tolist() == marked.ids.tolist()
        assert (records.origins == Origin.HUMAN).all()
    truth = source.truth("organ0-positive@0,0")
    assert truth is not None
    assert (len(truth), len(version.records("organ0-positive@0,0"))) == (3, 2)


def test_each_marked_cell_is_an_ellipse_with_an_edge(ground):
    version = open_version(ground.at, ground.annotated)
    classes = np.asarray(version.classes("organ0-positive@0,0")[:])
    cells = np.asarray(version.cells("organ0-positive@0,0")[:])
    middle = 22, 20  # of the box 8, 10, 32, 34
    assert (classes[middle], cells[middle]) == (2, 1)
    assert classes[22, 8] == 1  # its left edge
    assert classes[10, 8] == 0  # the corner of the box


def test_version_0_is_the_start_of_every_chain(ground):
    info = open_version(ground.at, ground.annotated).info
    assert (info.chain, info.round, info.stage, info.parent) == ("annotations", 0, "ingest", None)
    assert info.parameters["regions"] == ground.regions.digest
