"""Figures of each organ, site and slide, as the cards of the evaluations hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.checkpoints import load_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.layout import Workspace
    from storage.report.model import Breakdown, GroupRow, Share
    from tasks.evidence import ArmEvidence


def group_rows(at: Workspace, arms: Sequence[ArmEvidence]) -> list[dict[str, Any]]:
    """Return a row for each arm, truth and group: all that there is, as plain JSON."""
    rows = []
    for arm in arms:
        if arm.evaluation is None:
            continue
        trial = arm.trial
        where = {"mode": trial.split, "fold": trial.fold, "seed": trial.seed}
        for truth, result in load_card(at, arm.evaluation)["results"].items():
            of = where | {"arm": arm.arm, "model": arm.model, "truth": truth}
            for by, groups in result.get("groups", {}).items():  # older cards have none
                rows += [of | {"by": by, "group": name} | one for name, one in groups.items()]
    return rows


def breakdowns(rows: Sequence[dict[str, Any]]) -> list[Breakdown]:
    """Return a table for each mode, network and kind of group, under the best truth there is."""
    from storage.report.model import Breakdown

    truth = "complete" if any(row["truth"] == "complete" for row in rows) else "partial"
    tables: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["truth"] == truth:
            tables.setdefault((row["mode"], row["model"], row["by"]), []).append(row)
    found = []
    for (mode, model, by), own in tables.items():
        arms = _arms(own)
        found.append(Breakdown(model, mode, truth, by, arms, tuple(_by_group(own, arms))))
    return found


def _arms(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    from storage.report.tables import in_order

    return tuple(in_order(list(dict.fromkeys(row["arm"] for row in rows))))


def _by_group(rows: Sequence[dict[str, Any]], arms: tuple[str, ...]) -> list[GroupRow]:
    from storage.report.model import GroupRow

    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        groups.setdefault(row["group"], {}).setdefault(row["arm"], []).append(row)
    found = []
    for name, by_arm in groups.items():
        first = next(iter(by_arm.values()))
        # Every seed tests the same cells; folds test others.
        n_seeds = len({row["seed"] for row in first})
        n_images, n_truth = (
            round(sum(row[count] for row in first) / n_seeds) for count in ("n_images", "n_truth")
        )
        shares = (_share(by_arm[arm]) if arm in by_arm else None for arm in arms)
        found.append(GroupRow(name, n_images, n_truth, tuple(shares)))
    return found


def _share(rows: Sequence[dict[str, Any]]) -> Share:
    """Return what one arm found in one group over its trials, each weighed by what it holds."""
    from storage.report.model import Share

    recall = _mean([(row["instance_recall"], row["n_truth"]) for row in rows])
    return Share(recall, _mean([(row["fps"], row["n_images"]) for row in rows]))


def _mean(weighed: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in weighed if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
