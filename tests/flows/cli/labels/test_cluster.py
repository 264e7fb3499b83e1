"""Verbs that work on regions take the address of a cluster, and say what is wrong with it."""

import pytest

from storage import cluster
from storage.layout import Kind


@pytest.fixture
def words(refs, at, tmp_path):
    """Return a function that gives the words of a verb."""
    first, second = (ref.digest for ref in refs)
    return {
        "verify": ("verify", "--all"),
        "diff": ("diff", first, second),
        "revert": ("revert", second, "--round", "1"),
        "export": ("export", second, "--format", "ome-zarr", "--output", tmp_path / "out"),
    }


VERBS = ("verify", "diff", "revert", "export")


@pytest.mark.parametrize("verb", VERBS)
def test_a_cluster_that_does_not_answer_is_named_and_nothing_is_made(
    run, words, at, tmp_path, monkeypatch, verb
):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    before = sorted(at.root.rglob("*"))
    code, out, err = run(*words[verb], "--dask", "tcp://127.0.0.1:9")

    assert (code, out) == (1, "")
    assert "tcp://127.0.0.1:9: no Dask scheduler answers" in err
    assert sorted(path for path in at.root.rglob("*") if Kind.LABELS in path.parts) == [
        path for path in before if Kind.LABELS in path.parts
    ]
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_address_is_wrong_use(run, words, verb):
    code, _, err = run(*words[verb], "--dask", "my cluster")

    assert code == 2
    assert "--dask my cluster: expected the address of a scheduler" in err


def test_only_images_are_exported_by_a_cluster(run, refs, tmp_path):
    code, _, err = run("export", refs[1].digest, "--output", tmp_path, "--dask", "tcp://a:1")

    assert code == 2
    assert "--dask writes OME-Zarr only" in err
