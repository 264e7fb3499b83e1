import json
import time

import pytest

from models.errors import IntegrityError, NotFoundError, WrongUseError
from storage.artefacts import canonical_json
from storage.labels.log import ancestry, history, log, model_name, resolve
from storage.labels.store import open_version
from storage.labels.tags import tag
from storage.layout import Kind, Ref


def test_versions_are_listed_chain_by_chain_with_parents_first(workspace, versions):
    first = versions.ingest()
    one = versions.round(first, 1, chain="b")
    other = versions.round(first, 1, chain="a")
    two = versions.round(one, 2, chain="b")
    cooperative = versions.round(two, 3, chain="0-cooperative")

    listed = [info.digest for info in log(workspace)]
    assert len(listed) == 5
    assert listed[0] == first.digest
    assert listed[-1] == cooperative.digest
    assert listed.index(two.digest) == listed.index(one.digest) + 1
    assert other.digest in listed


def test_an_empty_workspace_has_no_versions(workspace):
    assert log(workspace) == ()


def test_a_draft_is_not_listed(workspace, versions):
    versions.ingest()
    hidden = workspace.root / "labels" / ".draft-1"
    hidden.mkdir()
    (hidden / "version.json").write_text("{}")

    assert len(log(workspace)) == 1


def test_listing_200_versions_takes_no_second(workspace, versions):
    facts = open_version(workspace, versions.ingest()).info.to_json()
    for number in range(200):
        digest = f"{number:032x}"
        parent = f"{number - 1:032x}" if number else None
        folder = workspace.root / "labels" / digest
        folder.mkdir()
        entry = {**facts, "digest": digest, "parent": parent, "chain": f"chain-{number // 20}"}
        (folder / "version.json").write_text(canonical_json(entry))

    start = time.perf_counter()
    listed = log(workspace)
    assert time.perf_counter() - start < 1
    chain = [info.digest for info in listed if info.digest.startswith("0000")]
    assert chain == sorted(chain)


def test_an_unreadable_description_is_named(workspace, versions):
    ref = versions.ingest()
    (workspace.path(ref) / "version.json").write_text(json.dumps({"digest": "x"}))

    with pytest.raises(IntegrityError, match=r"version\.json: no readable description"):
        log(workspace)


def test_a_version_knows_all_it_grew_from(workspace, versions):
    first = versions.ingest()
    second = versions.round(first)
    third = versions.round(second, 2)

    line = [info.digest for info in ancestry(workspace, third)]
    assert line == [third.digest, second.digest, first.digest]
    with pytest.raises(NotFoundError, match="label version 00000000 is not in"):
        ancestry(workspace, Ref(Kind.LABELS, "0" * 32))


def test_the_first_digits_name_a_version(workspace, versions):
    ref = versions.ingest()

    assert resolve(workspace, ref.digest[:8]) == ref
    assert resolve(workspace, ref.digest) == ref


@pytest.mark.parametrize("text", ["", "abc", "nothing", "../..", "*", "ffffffff"])
def test_a_name_that_means_nothing_is_refused(workspace, versions, text):
    versions.ingest()

    with pytest.raises(NotFoundError, match="'signetflow labels log' lists them"):
        resolve(workspace, text)


def test_digits_that_several_versions_share_are_refused(workspace, versions):
    folder = workspace.path(versions.ingest())
    for digest in ("abcd1" + "0" * 27, "abcd2" + "0" * 27):
        twin = folder.parent / digest
        twin.mkdir()
        (twin / "version.json").write_text("{}")

    with pytest.raises(WrongUseError, match="2 label versions begin with abcd"):
        resolve(workspace, "abcd")


def test_the_history_tells_growth_tags_and_which_network_found_the_cells(workspace, versions):
    first = versions.ingest()
    second = versions.round(first, checkpoint="ab" * 16)
    tag(workspace, "gold", second)
    tag(workspace, "best", second)

    start, grown = history(workspace)
    assert (start.growth, start.checkpoint, start.model, start.tags) == (None, "", "", ())
    assert (grown.growth, grown.checkpoint, grown.model) == (5 / 3 - 1, "ab" * 16, "")
    assert grown.tags == ("best", "gold")
    assert grown.to_json()["digest"] == second.digest


@pytest.mark.parametrize(
    ("card", "name"), [('{"model": "a"}', "a"), ("{}", ""), ("{", ""), (None, "")]
)
def test_a_network_is_named_by_its_card_where_there_is_one(workspace, card, name):
    folder = workspace.root / "checkpoints" / ("cd" * 16)
    folder.mkdir(parents=True)
    if card is not None:
        (folder / "card.json").write_text(card)

    assert model_name(workspace, "cd" * 16) == name
    assert model_name(workspace, "../..") == ""
