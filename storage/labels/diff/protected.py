"""Whether two label versions hold the same cells of a person, and which differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.labels.store import LabelVersion


@dataclass(frozen=True, slots=True)
class HumanChange:
    """A person's cell that two versions do not share as it is."""

    region: str
    annotation: str
    what: str
    """lost, added, moved, or named by another cell id."""
    before_id: int | None
    after_id: int | None


@dataclass(frozen=True, slots=True)
class Protected:
    """The cells of a person in two versions."""

    n_before: int
    n_after: int
    changes: tuple[HumanChange, ...]

    @property
    def equal(self) -> bool:
        """Return whether ids, boxes and annotation ids are all the same."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "before": self.n_before,
            "after": self.n_after,
            "equal": self.equal,
            "changes": [
                {
                    "region": one.region, "annotation": one.annotation, "what": one.what,
                    "before_id": one.before_id, "after_id": one.after_id,
                }
                for one in self.changes
            ],
        }  # fmt: skip


def compare_protected(before: LabelVersion, after: LabelVersion) -> Protected:
    """Return how the cells of a person differ; tables are read only where digests differ."""
    changes: list[HumanChange] = []
    for region_id in sorted({*before.entries, *after.entries}):
        first, second = before.entries.get(region_id), after.entries.get(region_id)
        counts = [entry.human_count if entry else 0 for entry in (first, second)]
        digests = [entry.human_digest if entry else None for entry in (first, second)]
        if any(counts) and digests[0] != digests[1]:
            changes += _region(region_id, before, after)
    return Protected(before.info.human_count, after.info.human_count, tuple(changes))


_Drawn = dict[str, tuple[int, tuple[float, ...]]]


def _region(region_id: str, before: LabelVersion, after: LabelVersion) -> list[HumanChange]:
    first, second = _drawn(before, region_id), _drawn(after, region_id)
    return [
        HumanChange(region_id, name, what, *(d[name][0] if name in d else None for d in both))
        for both in [(first, second)]
        for name in sorted({*first, *second})
        if (what := _what(first.get(name), second.get(name)))
    ]


def _what(
    first: tuple[int, tuple[float, ...]] | None, second: tuple[int, tuple[float, ...]] | None
) -> str:
    if first is None or second is None:
        return "lost" if second is None else "added"
    if first[1] != second[1]:
        return "moved"
    return "named by another cell id" if first[0] != second[0] else ""


def _drawn(version: LabelVersion, region_id: str) -> _Drawn:
    if region_id not in version.entries:
        return {}
    records = version.records(region_id)
    human = records.take(records.is_human)
    columns = (human.annotation_ids.tolist(), human.cell_ids.tolist(), human.boxes.tolist())
    return {name: (cell, tuple(box)) for name, cell, box in zip(*columns, strict=True)}
