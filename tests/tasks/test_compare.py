import pytest

from flows.config import Arm
from flows.studies.table1 import TABLE1
from models.annotations import Role
from storage.artefacts import canonical_json
from storage.report.comparison import MEASURES
from tasks.compare import PAGE, compare, dataset_beside, is_made_up, read_study
from tasks.pooled_arms import compared_rows
from tasks.report import read_gains, read_table


@pytest.fixture(scope="module")
def rows(conducted):
    ground = conducted.ground
    found = compared_rows(
        ground.at, conducted.inputs, ground.config.evaluation, lambda _done, _total: None
    )
    return {(row.truth, row.model, row.arm): row for row in found}


def test_one_fold_has_the_numbers_of_the_report(rows, conducted):
    table = read_table(conducted.ground.at, conducted.report)
    assert len(table) == len(rows) == 24
    for line in table:
        row = rows[line["truth"], line["model"], line["arm"]]
        assert {name: row.figures[name].value for name in MEASURES} == pytest.approx(
            {name: line[name] for name in MEASURES}
        )
        assert row.figures["froc"].interval == pytest.approx((line["froc_low"], line["froc_high"]))
        assert (row.n_steps, row.n_trials) == (line["n_steps"], 1)


def test_gains_over_controls_are_those_of_the_report(rows, conducted):
    gains = read_gains(conducted.ground.at, conducted.report)
    assert len(gains) == 12
    for line in gains:
        beside = rows[line["truth"], line["model"], line["arm"]].over_control
        assert beside is not None
        assert beside.gain.control == line["control"]
        assert beside.figures["froc"].value == pytest.approx(line["gain"])
        assert beside.gain.difference == pytest.approx(line["gain"])
        assert beside.figures["froc"].interval == pytest.approx(tuple(line["interval"]))


def test_every_arm_but_the_first_is_held_against_the_first(rows):
    for (truth, model, arm), row in rows.items():
        first = rows[truth, model, "supervised"]
        if arm == "supervised":
            assert row.over_first is None
            continue
        for name in MEASURES:
            gap = row.figures[name].value - first.figures[name].value
            assert row.over_first.figures[name].value == pytest.approx(gap)


def test_a_study_is_written_once_and_read_back(conducted):
    ground = conducted.ground
    words = {
        "inputs": conducted.inputs, "evaluation": ground.config.evaluation, "paper": TABLE1.paper,
        "left_out": ("There is no CT.",),
        "settings": canonical_json(ground.config.model_dump(mode="json")),
    }  # fmt: skip
    ref = compare(ground.run, "beside", **words)
    assert compare(ground.run, "beside again", **words) == ref
    content = read_study(ground.at, ref)
    assert {row["arm"] for row in content["rows"]} == set(Arm)
    assert content["made_up"] is False
    assert "There is no CT." in content["not_comparable"]
    page = (ground.at.path(ref) / PAGE).read_text()
    assert "signetflow study table1 --dataset ground" in page


def test_a_dataset_is_told_in_the_papers_words(conducted):
    told = dataset_beside(conducted.ground.at, conducted.inputs)
    assert told["positive regions"] == "6 of 6 slides"
    assert told["cells that a person marked"] == "12"
    assert told["organs"] == "6"
    published = dict(TABLE1.paper.data)
    assert set(told) == set(published)
    assert {f"{role.value} regions" for role in Role} < set(told)


def test_slides_of_a_person_are_not_taken_for_made_up_ones(conducted, tmp_path):
    from storage.datasets.catalogue import register
    from storage.datasets.synthetic.reader import SyntheticReader
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.datasets.synthetic.slides import make_dataset
    from storage.layout import Workspace

    assert not is_made_up(conducted.ground.at, conducted.inputs.dataset)
    settings = SyntheticSettings(organs=1, positive_slides=1, negative_windows=1, window_px=256)
    make_dataset(tmp_path / "drawn", settings, processes=1)
    at = Workspace(tmp_path / "workspace")
    drawn = register(at, SyntheticReader(tmp_path / "drawn").items(), name="drawn").ref
    assert drawn is not None
    assert is_made_up(at, drawn)
