"""Copies among files of which nobody said anything: they are kept together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.annotations import Role

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storage.datasets.likeness import Pair
    from storage.datasets.protocol import SourceItem


def with_copies_tied(
    items: Sequence[SourceItem], pairs: Sequence[Pair], placed: Collection[str]
) -> list[SourceItem]:
    """Return items, the copies among those that nobody described as of one slide.

    Where a person marked cells or said of which slide or patient an image is, the same pixels
    elsewhere contradict that and are an error. Files of a folder that nobody annotated are each
    taken for a slide of their own only because nothing is known of them.

    Parameters
    ----------
    items, pairs
        What is registered, and which of them show the same pixels.
    placed : collection of str
        Names of items that an earlier version placed; they stay what they are.
    """
    slides = {item.name: item.name for item in items if _is_undescribed(item)}
    for pair in pairs:
        if not slides.keys() >= set(pair.names):
            continue
        kept, joins = (slides[name] for name in pair.names)
        if joins in placed:
            kept, joins = joins, kept
        if joins not in placed:
            slides.update({name: kept for name, slide in slides.items() if slide == joins})
    return [
        replace(item, attributes={**item.attributes, "slide": slides[item.name]})
        if slides.get(item.name, item.name) != item.name
        else item
        for item in items
    ]


def _is_undescribed(item: SourceItem) -> bool:
    """Return whether an item has no mark of a person, and only its own name for a slide."""
    marked = any(known.role is Role.POSITIVE for known in item.windows) or len(item.annotations)
    return not marked and dict(item.attributes) in ({}, {"slide": item.name})
