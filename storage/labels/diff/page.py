"""The diff of two label versions as one HTML file without anything from outside."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from storage.labels.diff.cells import Change
from storage.labels.diff.pairs import How
from storage.labels.diff.pixels import CLASS_NAMES
from storage.labels.diff.telling import middles_of
from storage.report.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from storage.labels.diff.compare import VersionDiff
    from storage.labels.diff.crops import Crop, Outline

REGIONS_SHOWN = 30
SHORT = 8


@dataclass(frozen=True, slots=True)
class Line:
    """How the outlines of one kind are drawn: they differ in line as well as in colour."""

    kind: str
    text: str
    colour: str
    width: float
    dash: str = ""


LINES = (
    Line("same", "unchanged", "#1450c8", 1.2),
    Line("changed", "moved, resized, re-scored, split or merged", "#7b1fa2", 2.0, "5 2"),
    Line("gone", "removed or merged away", "#c62828", 2.2, "2 3"),
    Line("new", "added or split off", "#e07800", 2.4),
    Line("human", "a person's", "#007a3d", 2.6),
)
"""In the order of drawing: what a person drew lies on top."""
_WORDS = {
    Change.ADDED: "added", Change.REMOVED: "removed", Change.MOVED: "moved",
    Change.RESIZED: "resized", Change.RESCORED: "re-scored", Change.DRIFTED: "drifted",
    Change.SPLIT: "split", Change.MERGED: "merged",
}  # fmt: skip


def build_diff_page(found: VersionDiff, crops: Sequence[Crop], path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    found : VersionDiff
    crops : sequence of Crop
        From `storage.labels.diff.crops.telling_crops`.
    path : Path
        The file; overwritten.
    """
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=shown,
    )  # fmt: skip
    changed = sorted(found.by_region.items(), key=lambda item: -_n_changed(item[1]))
    page = environment.get_template("template.html").render(
        found=found,
        answer=found.to_json(),
        relation=relation_text(found),
        summary=summary_text(found),
        classes=CLASS_NAMES,
        shades=_shades(found.pixels.matrix),
        regions=changed[:REGIONS_SHOWN],
        n_regions_left=max(0, len(changed) - REGIONS_SHOWN),
        crops=[(crop, row_text(found, crop.row), _panels(crop, place))
               for place, crop in enumerate(crops)],
        lines=LINES,
        pictured=any(crop.image is not None for crop in crops),
        short=SHORT,
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")


def relation_text(found: VersionDiff) -> str:
    """Return in words what the second version is to the first."""
    steps = len(found.relation.line) - 1
    apart = "directly" if steps == 1 else f"over {steps} versions"
    return {
        "same": "Both are the same version.",
        "descendant": f"The second grew {apart} from the first.",
        "ancestor": f"The first grew {apart} from the second.",
        "cousin": f"Both grew from {str(found.relation.common)[:SHORT]}, in different chains.",
        "unrelated": "They have no common ancestor: cells are paired by annotation and by place.",
    }[found.relation.kind]


def summary_text(found: VersionDiff) -> str:
    """Return what differs, in a few sentences."""
    n, pixels = found.counts, found.pixels
    drawn = found.protected
    human = f"{drawn.n_before} cells of a person are equal in both." if drawn.equal else (
        f"The cells of a person differ: {len(drawn.changes)} changes, listed below."
    )  # fmt: skip
    parts = [
        f"{n[name]:,} {words}"
        for name, words in (
            ("added", "added"), ("removed", "removed"), ("split", "split"), ("merged", "merged"),
            ("moved", "moved"), ("resized", "resized"), ("rescored", "re-scored"),
            ("drifted", "drifted"),
        )
        if n[name]
    ]  # fmt: skip
    cells = f"Of {n['before']:,} cells, then {n['after']:,}: {', '.join(parts) or 'none changed'}."
    return f"{cells} {pixels.changed_px:,} pixels changed their class. {human}"


def row_text(found: VersionDiff, row: int) -> str:
    """Return in words what happened to the cell of one row of the changes."""
    changes, kinds = found.changes, Change(int(found.changes.kinds[row]))
    words = [word for change, word in _WORDS.items() if kinds & change]
    before, after = int(changes.before_ids[row]), int(changes.after_ids[row])
    cell = _cell(before, after, kinds, How(int(changes.hows[row])))
    details = []
    if kinds & Change.MOVED:
        details.append(f"by {changes.shifts[row]:.1f} level-0 pixels")
    if kinds & Change.RESIZED:
        details.append(f"area {changes.growths[row]:+.0%}")
    scores = changes.before_scores[row], changes.after_scores[row]
    told = [f"{score:.2f}" for score in scores if not np.isnan(score)]
    if told:
        details.append(f"score {' to '.join(dict.fromkeys(told))}")
    x, y = middles_of(changes.take(np.array([row])))[0]
    who = "a person's " if changes.human[row] else ""
    more = f" ({', '.join(details)})" if details else ""
    where = f"{found.regions[changes.regions[row]]}, x {x:.0f}, y {y:.0f}"
    return f"{' and '.join(words).capitalize()}: {who}{cell}{more}. {where}"


def _cell(before: int, after: int, kinds: Change, how: How) -> str:
    if how is not How.NOT:
        return f"cell {after}" if before == after else f"cell {before}, now {after}"
    if kinds & Change.SPLIT:
        return f"cell {after}, a part of {before}"
    if kinds & Change.MERGED:
        return f"cell {before}, into {after}"
    return f"cell {before or after}"


def _n_changed(counts: dict[str, int]) -> int:
    names = ("added", "removed", "moved", "resized", "rescored", "split_off", "merged_away")
    return sum(counts.get(name, 0) for name in names)


def _shades(matrix: NDArray[np.int64]) -> list[list[float]]:
    """Return how dark each field off the diagonal is, 0 to 1."""
    away = matrix * (1 - np.eye(len(matrix)))
    shades: list[list[float]] = np.sqrt(away / max(1.0, float(away.max()))).round(2).tolist()
    return shades


def _panels(crop: Crop, place: int) -> tuple[Markup, Markup]:
    """Return the crop before and after as SVG; the tissue is in the first and reused."""
    side = crop.side_px
    name = f"tissue{place}"
    if crop.image is None:
        tissue = f'<rect id="{name}" width="{side}" height="{side}" fill="#e9e4ea"/>'
    else:
        image = f'width="{side}" height="{side}" href="{_jpeg_uri(crop.image)}"'
        tissue = f'<image id="{name}" {image}/>'
    before = _svg(side, tissue, crop.before, "before")
    return before, _svg(side, f'<use href="#{name}"/>', crop.after, "after")


def _svg(side: int, tissue: str, outlines: Sequence[Outline], title: str) -> Markup:
    paths = [
        _path(outline, line) for line in LINES for outline in outlines if outline.kind == line.kind
    ]
    label = escape(f"{title}: {len(outlines)} cells")
    text = (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {side} {side}">'
        f"{tissue}{''.join(paths)}</svg>"
    )
    return Markup(text)  # noqa: S704  # made here of numbers and constants


def _path(outline: Outline, line: Line) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline.ring.tolist())
    width = line.width * (1.6 if outline.is_subject else 1.0)
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    halo = f'<path d="M{points}Z" class="halo" stroke-width="{width + 1.6:g}"/>'
    fill = f' style="fill:{line.colour};fill-opacity:.2"' if outline.is_subject else ""
    drawn = f'<path d="M{points}Z" stroke="{line.colour}" stroke-width="{width:g}"{dash}{fill}/>'
    return (halo if outline.is_subject else "") + drawn


def _jpeg_uri(image: NDArray[np.uint8]) -> str:
    options = [cv2.IMWRITE_JPEG_QUALITY, 88]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), options)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
