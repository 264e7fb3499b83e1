import subprocess

from storage.datasets.protocol import RefusedItem
from storage.datasets.refusals import note_refusals, refusals_path
from storage.report.model import Refusal
from tasks.provenance import (
    PACKAGES,
    dataset_facts,
    flat,
    git_commit,
    processor,
    refused,
    versions,
)


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_the_commit_is_told_with_whether_files_differ_from_it(tmp_path):
    assert git_commit(tmp_path) == ""
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "notes.txt").write_text("not a part of it")
    assert git_commit(tmp_path) == clean
    (tmp_path / "code.py").write_text("a = 2\n")
    assert git_commit(tmp_path) == f"{clean} and changes on top"


def test_the_commit_of_a_folder_above_is_not_that_of_the_code(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert git_commit(tmp_path) != ""
    assert git_commit(tmp_path / "inside") == ""


def test_a_machine_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) == ""


def test_the_processor_is_named_as_it_names_itself(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Some CPU\n")
    assert processor(path) == "Some CPU @ 2 GHz"
    assert processor(tmp_path / "nothing")


def test_versions_name_the_code_the_packages_and_the_machine():
    found = versions()
    assert set(PACKAGES) <= set(found)
    assert {"Python", "processor", "operating system"} <= set(found)


def test_the_dataset_is_described_in_words(conducted):
    facts = dataset_facts(conducted.ground.at, conducted.inputs)
    assert facts["name"] == "ground"
    assert facts["version"] == conducted.inputs.dataset.digest
    assert facts["regions"] == "6 positive, 6 negative, 6 unlabelled"
    assert facts["cells that a person marked"] == "12"
    assert facts["cells of complete truth"] == "18 in 6 regions"
    assert facts["kept together in hard folds"] == "organ"


def test_what_was_refused_is_counted_step_by_step(own_ground, conducted):
    at, inputs = own_ground.at, conducted.inputs
    assert [(one.step, one.count) for one in refused(at, inputs)] == [
        ("at ingest", 0), ("when regions were cut", 0),
    ]  # fmt: skip
    note_refusals(at, inputs.dataset, [RefusedItem("a.png", "truncated")])
    first = refused(at, inputs)[0]
    assert (first.count, first.items) == (1, (Refusal("a.png", "truncated"),))


def test_a_dataset_of_an_older_signetflow_does_not_claim_that_nothing_was_refused(
    own_ground, conducted
):
    refusals_path(own_ground.at, conducted.inputs.dataset).unlink()
    assert refused(own_ground.at, conducted.inputs)[0].count is None


def test_nested_settings_become_dotted_names():
    assert flat({"a": {"b": 1, "c": {}}, "d": None}) == {"a.b": "1", "a.c": "{}", "d": "None"}
