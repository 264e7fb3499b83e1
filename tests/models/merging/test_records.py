import numpy as np

from models.annotations import Annotations, CellRecords, Origin, Polygons
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Placement
from models.merging.records import Provenance, human_records, next_records
from models.merging.relabel import Previous, relabel
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells

SHAPE = (50, 80)
AT = Placement(1000, 2000, 2.0)


def annotations(*boxes):
    rows = np.array(boxes, float).reshape(-1, 4)
    ids = np.array([f"ring-{row}" for row in range(len(rows))], np.str_)
    return Annotations(ids, rows, Polygons.none(len(rows)))


def draw(*boxes):
    return rasterise(np.array(boxes, float).reshape(-1, 4), SHAPE, EllipseSettings())


def a_round(human, before, previous, found, provenance):
    classes, _ = draw(*found)
    result = relabel(classes, (classes == 2) * np.float32(0.9), human, previous, MergeSettings())
    return result, next_records(result, before, AT, provenance)


def test_version_0_numbers_the_annotations():
    records = human_records(annotations([0, 0, 9, 9], [20, 0, 31, 9]))

    assert records.cell_ids.tolist() == [1, 2]
    assert records.annotation_ids.tolist() == ["ring-0", "ring-1"]
    assert records.is_human.all()
    assert np.isnan(records.scores).all()
    assert set(records.stages.tolist()) == {"ingest"}
    assert len(records.parents) == 2
    assert records.parents[0].tolist() == []


def test_a_round_keeps_the_persons_record_and_places_found_cells_on_the_slide():
    drawn = annotations([1010.5, 2010, 1050, 2050])
    human = HumanCells(*draw(*AT.boxes_to_working(drawn.boxes)))
    before = human_records(drawn)
    _, after = a_round(
        human, before, Previous(human.cells, 2), [[40, 10, 60, 30]], Provenance(1, "self", "abc")
    )

    assert after.cell_ids.tolist() == [1, 2]
    assert after.boxes[0].tolist() == [1010.5, 2010, 1050, 2050]
    assert after.boxes[1].tolist() == [1080, 2020, 1120, 2060]
    assert after.polygons[0].tolist() == []
    assert after.polygons[1].min(axis=0).tolist() == [1080, 2020]
    assert after.polygons[1].max(axis=0).tolist() == [1120, 2060]
    assert after.origins.tolist() == [Origin.HUMAN, Origin.PSEUDO]
    assert after.annotation_ids.tolist() == ["ring-0", ""]
    assert (after.rounds.tolist(), after.stages.tolist()) == ([0, 1], ["ingest", "self"])
    assert after.checkpoints.tolist() == ["", "abc"]
    assert after.votes.tolist() == [0, 1]
    assert np.isnan(after.scores[0])
    assert after.scores[1] > 0.4


def test_a_cell_found_again_keeps_the_round_that_brought_it_in():
    nobody = HumanCells(*draw())
    first, records = a_round(
        nobody, CellRecords.none(), Previous(nobody.cells, 1), [[10, 10, 30, 30]],
        Provenance(1, "self", "abc"),
    )  # fmt: skip
    previous = Previous(first.cells, first.next_cell_id)
    _, again = a_round(
        nobody, records, previous, [[50, 10, 70, 30], [12, 10, 32, 30]],
        Provenance(2, "cooperative", "a-longer-name"),
    )  # fmt: skip

    assert again.cell_ids.tolist() == [1, 2]
    assert again.rounds.tolist() == [1, 2]
    assert again.stages.tolist() == ["self", "cooperative"]
    assert again.checkpoints.tolist() == ["abc", "a-longer-name"]
    assert again.boxes[0].tolist() == [1024, 2020, 1064, 2060]
    assert [again.parents[row].tolist() for row in range(2)] == [[1], []]


def test_a_region_without_cells_has_no_records():
    nobody = HumanCells(*draw())
    _, records = a_round(
        nobody, CellRecords.none(), Previous(nobody.cells, 1), [], Provenance(1, "self", "abc")
    )

    assert len(records) == 0
    assert len(human_records(Annotations.none())) == 0
