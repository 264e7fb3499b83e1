import json
import os
import resource
import subprocess
import sys

import pytest

from storage.labels.store import LabelDraft


@pytest.fixture
def branched(at, refs):
    """Return version 0, a chain of two rounds, and a chain that branched off the first round."""
    first, one = refs
    drafts = [("hard/0", 2, "self"), ("hard/0/shared", 1, "cooperative")]
    grown = []
    for chain, number, stage in drafts:
        with LabelDraft(
            at, parent=one, chain=chain, round=number, stage=stage,
            parameters={"checkpoint": "0123456789abcdef" * 2},
        ) as draft:  # fmt: skip
            draft.keep("slide-a@0,0")
            grown.append(draft.commit())
    card = at.root / "checkpoints" / ("0123456789abcdef" * 2)
    card.mkdir(parents=True)
    (card / "card.json").write_text('{"model": "residual"}')
    return first, one, *grown


def digits(out, refs):
    """Return the lines of the graph with each version named by its place in `refs`."""
    names = {ref.digest[:8]: str(place) for place, ref in enumerate(refs)}
    lines = out.splitlines()
    for digest, name in names.items():
        lines = [line.replace(digest, name) for line in lines]
    return lines


def test_log_draws_what_grew_from_what(run, branched):
    code, out, _ = run("log")

    lines = [line[: line.index("*") + 3] if "*" in line else line for line in digits(out, branched)]
    assert code == 0
    assert lines[1:] == [
        "annotations",
        "* 0",
        "`-- hard/0",
        "    * 1",
        "    |-- hard/0/shared",
        "    |   * 3",
        "    * 2",
    ]


def test_log_tells_round_cells_growth_model_and_tags(run, at, branched):
    run("tag", "gold", branched[2].digest)
    _, out, _ = run("log")

    rows = {line.strip(" |*")[:8]: line.split() for line in out.splitlines()}
    assert rows[branched[1].digest[:8]][-5:] == ["1", "self", "2", "1", "+50.0%"]
    assert rows[branched[2].digest[:8]][-7:] == [
        "self", "2", "1", "+0.0%", "residual", "01234567", "gold",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--round", 2], [2]),
        (["--stage", "cooperative"], [3]),
        (["--chain", "hard"], [1, 3, 2]),
        (["--chain", "hard", "--round", 1], [1, 3]),
        (["--tagged"], [3]),
    ],
)
def test_log_shows_what_the_filters_leave(run, branched, words, kept):
    run("tag", "gold", branched[3].digest)
    _, out, _ = run("log", *words)

    lines = digits(out, branched)
    named = [line.split() for line in lines[1:-1] if "~ " in line or "* " in line]
    places = [int(words[words.index("~" if "~" in words else "*") + 1]) for words in named]
    assert places == kept
    assert "~" in named[0]
    assert lines[-1] == f"{len(kept)} of 4 versions; the filters hide the others."


def test_log_of_a_version_is_all_that_it_grew_from(run, branched):
    _, out, _ = run("log", "--of", branched[3].digest[:8], "--json")

    listed = [one["digest"] for one in json.loads(out)["versions"]]
    assert listed == [branched[place].digest for place in (0, 1, 3)]


def test_log_as_json_holds_every_version(run, refs):
    code, out, err = run("log", "--json")

    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert [one["digest"] for one in answer["versions"]] == [ref.digest for ref in refs]
    assert [one["growth"] for one in answer["versions"]] == [None, 0.5]
    assert answer["versions"][1]["n_cells"] == {"human": 2, "pseudo": 1}
    assert [one["tags"] for one in answer["versions"]] == [[], []]
    assert answer["n_versions"] == 2


def test_log_of_an_empty_workspace_says_what_to_do(run):
    code, out, _ = run("log")

    assert code == 0
    assert "No label versions" in out
    assert "signetflow demo" in out


def test_log_imports_neither_torch_nor_zarr(at, refs):
    script = (
        "import sys; from flows.cli import main; main(['labels', 'log', '--json', '--workspace', "
        f"{str(at.root)!r}]); heavy = {{'torch', 'zarr', 'mlflow', 'prefect'}} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def many(at, refs):
    """Two hundred versions in ten chains, each described but without pixels."""
    described = json.loads((at.path(refs[1]) / "version.json").read_text())
    for number in range(198):
        parent = refs[0].digest if number % 20 == 0 else f"{number - 1:032x}"
        facts = {"digest": f"{number:032x}", "parent": parent, "chain": f"chain-{number // 20}"}
        folder = at.root / "labels" / facts["digest"]
        folder.mkdir()
        (folder / "version.json").write_text(json.dumps({**described, **facts}))


def test_log_of_200_versions_takes_no_second(at, many):
    command = [sys.executable, "-m", "flows.cli", "labels", "log", "--json", "--workspace", at.root]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    fastest, out = 9.0, ""
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = subprocess.run(
            [*map(str, command)], env=quiet, capture_output=True, text=True, check=True
        ).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        fastest = min(fastest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert json.loads(out)["n_versions"] == 200
    assert fastest < 1


def test_a_chain_of_many_versions_is_drawn_too(run, many):
    code, out, _ = run("log")

    assert code == 0
    assert len(out.splitlines()) == 1 + 200 + 12
