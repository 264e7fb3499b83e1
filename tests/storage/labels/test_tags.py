import threading
from itertools import pairwise

import pytest

from models.errors import IntegrityError, NotFoundError, WrongUseError
from storage.labels.log import log, resolve
from storage.labels.tags import Move, moves, tag, tagged, tags, untag
from storage.layout import Kind, Ref


def test_a_tag_names_a_version_and_can_move(workspace, versions):
    first = versions.ingest()
    second = versions.round(first)
    tag(workspace, "gold", first)
    assert resolve(workspace, "gold") == first
    tag(workspace, "gold", second)
    assert resolve(workspace, "gold") == second
    assert len(log(workspace)) == 2


@pytest.mark.parametrize("name", ["", "../up", "Gold", "beef", "a/b", "x" * 65])
def test_a_tag_that_could_be_mistaken_is_refused(workspace, versions, name):
    with pytest.raises(WrongUseError, match="cannot be a tag"):
        tag(workspace, name, versions.ingest())


def test_every_move_of_a_tag_is_written_down(workspace, versions):
    first = versions.ingest()
    second = versions.round(first)
    tag(workspace, "gold", first, "ada")
    tag(workspace, "gold", second, "bob")
    untag(workspace, "gold", "ada")

    told = [(one.tag, one.before, one.after, one.who) for one in moves(workspace)]
    assert told == [
        ("gold", None, first.digest, "ada"),
        ("gold", first.digest, second.digest, "bob"),
        ("gold", second.digest, None, "ada"),
    ]
    assert [one.when for one in moves(workspace)] == sorted(one.when for one in moves(workspace))


def test_a_removed_tag_names_nothing_and_can_be_set_again(workspace, versions):
    ref = versions.ingest()
    tag(workspace, "gold", ref)
    untag(workspace, "gold")
    assert tags(workspace) == {}
    with pytest.raises(NotFoundError, match="no label version or tag 'gold'"):
        resolve(workspace, "gold")

    tag(workspace, "gold", ref)
    assert tags(workspace) == {"gold": ref}
    assert len(moves(workspace)) == 3


def test_setting_a_tag_where_it_stands_is_no_move(workspace, versions):
    ref = versions.ingest()

    assert isinstance(tag(workspace, "gold", ref), Move)
    assert tag(workspace, "gold", ref) is None
    assert len(moves(workspace)) == 1


def test_a_tag_that_is_not_there_cannot_be_removed(workspace, versions):
    versions.ingest()
    for name in ("gold", "../up"):
        with pytest.raises(NotFoundError, match="no tag"):
            untag(workspace, name)


def test_a_version_that_is_not_there_cannot_be_tagged(workspace, versions):
    versions.ingest()
    with pytest.raises(NotFoundError, match="label version 00000000 is not in"):
        tag(workspace, "gold", Ref(Kind.LABELS, "0" * 32))


def test_a_tag_from_before_there_was_a_log_still_stands(workspace, versions):
    ref = versions.ingest()
    folder = workspace.root / "labels" / "tags"
    folder.mkdir()
    (folder / "gold").write_text(ref.digest)

    assert tagged(workspace, "gold") == ref
    untag(workspace, "gold")
    assert [(one.before, one.after) for one in moves(workspace)] == [
        (None, ref.digest),
        (ref.digest, None),
    ]


def test_a_tag_that_cannot_be_read_is_named(workspace, versions):
    tag(workspace, "gold", versions.ingest())
    (workspace.root / "labels" / "tags" / "gold").write_text("{")

    with pytest.raises(IntegrityError, match=r"tags/gold: no readable log of a tag"):
        tags(workspace)


def test_no_move_is_lost_when_many_tag_at_once(workspace, versions):
    first = versions.ingest()
    second = versions.round(first)
    start, made = threading.Barrier(4), []

    def move_back_and_forth():
        start.wait()
        for _ in range(5):
            made.extend([tag(workspace, "gold", first), tag(workspace, "gold", second)])

    threads = [threading.Thread(target=move_back_and_forth) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    told = moves(workspace)
    assert set(told) == {move for move in made if move}
    assert all(one.after == two.before for one, two in pairwise(told))
    assert tags(workspace)["gold"].digest == told[-1].after
