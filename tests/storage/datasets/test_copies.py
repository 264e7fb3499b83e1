"""Copies that nobody described are kept together; what people said is never overruled."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.annotations import Annotations, Role
from models.geometry.tiles import Window
from storage.datasets.copies import with_copies_tied
from storage.datasets.likeness import Pair
from storage.datasets.protocol import KnownWindow, SourceItem


def item(name, role=Role.NEGATIVE, **attributes):
    whole = Window(0, 0, 40, 30)
    return SourceItem(
        name, Path(name), 40, 30, None, (KnownWindow(whole, role),), None, Annotations.none(), None,
        attributes or {"slide": name},
    )  # fmt: skip


def slides(items, *pairs, placed=()):
    found = [Pair(one, other, same_file=False) for one, other in pairs]
    tied = with_copies_tied(items, found, placed)
    assert [one.name for one in tied] == [one.name for one in items]
    return [one.attributes["slide"] for one in tied]


def test_copies_among_undescribed_files_are_of_one_slide():
    items = [item(name) for name in "abcd"]
    assert slides(items, ("a", "c"), ("b", "d")) == ["a", "b", "a", "b"]
    assert slides(items, ("a", "b"), ("c", "d"), ("b", "c")) == ["a", "a", "a", "a"]
    assert slides(items) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "other",
    [item("b", Role.POSITIVE), item("b", slide="s"), item("b", slide="b", patient="p")],
)
def test_what_a_person_said_of_an_image_stays(other):
    assert slides([item("a"), other], ("a", "b")) == ["a", other.attributes["slide"]]


def test_what_an_earlier_version_placed_stays_where_it_is():
    items = [item(name) for name in "abc"]
    assert slides(items, ("a", "b"), placed={"b"}) == ["b", "b", "c"]
    assert slides(items, ("a", "b"), ("b", "c"), placed={"a", "c"}) == ["a", "a", "c"]
