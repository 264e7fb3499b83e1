import json

import pytest

from storage.labels.diff.compare import COUNTED


def test_diff_tells_what_a_round_changed(run, refs):
    code, out, _ = run("diff", refs[0].digest[:6], refs[1].digest[:6])

    assert code == 0
    assert "The second grew directly from the first." in out
    assert "Of 2 cells, then 3: 1 added." in out
    assert "2 cells of a person are equal in both" in out
    assert "- Added: cell 3 (score 0." in out
    row = next(line for line in out.splitlines() if line.startswith("│ slide-a@0,0"))
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["2", "3", "1", "0"]


def test_diff_as_json_holds_counts_classes_and_changes(run, refs):
    code, out, err = run("diff", refs[0].digest, refs[1].digest, "--json")

    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert list(answer["cells"]) == list(COUNTED)
    assert answer["cells"]["added"] == 1
    assert answer["page"] is None
    (change,) = answer["changes"]
    assert (change["kinds"], change["before_id"], change["after_id"]) == (["added"], None, 3)
    assert change["region"] == "slide-a@0,0"
    assert change["before_box"] == [None] * 4
    assert change["same_by"] == "not"


def test_diff_shows_as_many_changes_as_are_asked(run, refs):
    words = "diff", refs[0].digest, refs[1].digest, "--shown", 0

    assert json.loads(run(*words, "--json")[1])["changes"] == []
    assert "- Added" not in run(*words)[1]


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [("--moved", "moved_px", 4), ("--resized", "resized", 0.5), ("--rescored", "rescored", 0.2)],
)
def test_diff_takes_what_counts_as_a_change(run, refs, option, name, value):
    _, out, _ = run("diff", refs[0].digest, refs[1].digest, option, value, "--json")

    assert json.loads(out)["settings"][name] == value


def test_diff_writes_a_page_even_without_images(run, refs, tmp_path):
    page = tmp_path / "diff.html"
    code, out, err = run("diff", refs[0].digest, refs[1].digest, "--html", page)

    assert code == 0
    assert out.endswith(f"Pictures: {page}\n")
    assert "no regions with images" in err
    assert "<figure>" in page.read_text()


def test_a_page_that_cannot_be_written_is_told(run, refs, tmp_path):
    page = tmp_path / "nowhere" / "diff.html"
    code, out, err = run("diff", refs[0].digest, refs[1].digest, "--html", page, "--json")

    assert code == 1
    assert f"{page}: the page cannot be written" in err
    assert json.loads(out)["error"]["type"] == "WorkspaceError"


def test_regions_that_are_not_there_are_wrong_use(run, refs, tmp_path):
    words = "--html", tmp_path / "diff.html", "--regions", "abcd"
    code, _, err = run("diff", refs[0].digest, refs[1].digest, *words)

    assert code == 2
    assert "0 regions in" in err


def test_a_version_that_is_not_there_is_wrong_use(run, refs):
    assert run("diff", refs[0].digest, "ffffffff")[0] == 2


def test_images_come_from_the_regions_that_were_labelled(ground, run_at, tmp_path):
    page = tmp_path / "diff.html"
    version = ground.annotated.digest
    code, _, err = run_at(ground.at, "diff", version, version, "--html", page)
    assert (code, err) == (0, "")

    words = "--regions", ground.regions.digest[:8], "--json"
    code, out, err = run_at(ground.at, "diff", version, version, "--html", page, *words)
    assert (code, err) == (0, "")
    assert json.loads(out)["page"] == str(page)
