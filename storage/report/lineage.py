"""The page of label lineage: each arm's chain of label versions with the evidence of its rounds."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storage.report.text import figure, percent, shown, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 150, 64, 70, 8
"""Of the drawn chain, in pixels of the drawing."""


@dataclass(frozen=True, slots=True)
class Box:
    """One label version in the drawing of a chain."""

    x: int
    title: str
    digest: str
    n_cells: int
    trains: str
    """Digest of the network that learned from it; empty where another arm's did."""
    kept: bool
    alarmed: bool


def build_lineage_page(lineage: Mapping[str, Any], picture: bytes | None) -> str:
    """Return the page as HTML, self-contained.

    Parameters
    ----------
    lineage
        What `tasks.lineage` gathered.
    picture
        PNG of crops with their labels round by round, if there is one.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, finalize=shown,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(figure=figure, signed=signed, percent=percent)
    return environment.get_template("lineage.html").render(
        lineage=lineage,
        chains=[(chain, boxes_of(chain, lineage)) for chain in lineage["chains"]],
        picture=base64.b64encode(picture).decode() if picture else None,
        box={"width": BOX_WIDTH, "height": BOX_HEIGHT, "gap": GAP, "margin": MARGIN},
    )


def boxes_of(chain: Mapping[str, Any], lineage: Mapping[str, Any]) -> list[Box]:
    """Return the label versions of a chain from left to right, each once."""
    start = chain["start"]
    boxes: list[Box] = []
    if start["labels"] != chain["rounds"][0]["labels_out"]:
        title = _title(start["labels"], lineage, "where it began")
        boxes.append(Box(MARGIN, title, start["labels"], _total(start), "", False, False))
    for one in chain["rounds"]:
        boxes.append(
            Box(
                x=MARGIN + len(boxes) * (BOX_WIDTH + GAP),
                title=_title(one["labels_out"], lineage, f"round {one['round']}"),
                digest=one["labels_out"],
                n_cells=_total(one),
                trains=one["checkpoint"],
                kept=one["round"] == chain["kept"],
                alarmed=bool(one["alarms"]),
            )
        )
    return boxes


def _title(labels: str, lineage: Mapping[str, Any], otherwise: str) -> str:
    return "version 0" if labels == lineage["version_0"] else otherwise


def _total(one: Mapping[str, Any]) -> int:
    return sum(one["n_cells"].values())
