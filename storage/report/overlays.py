"""Outlines over a piece of tissue: in the page as SVG, elsewhere as a picture.

Kinds differ in line as well as in colour, because green and orange are one to some readers.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from markupsafe import Markup, escape

from storage.report.model import CropPanel
from storage.report.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.annotations import Polygons
    from storage.report.model import CropStory, Example, FoundPanel

MOST_OUTLINES = 200
"""Of one kind in one panel: more could not be told apart, and would make the page large."""
MOST_POINTS = 32
"""Of one outline; the longest cells are some forty pixels around."""
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of outline is drawn."""

    name: str
    """The field of the panel."""
    text: str
    colour: str
    width: float
    dash: str = ""
    fill_opacity: float = 0.0
    crossed: bool = False
    """Whether a cross lies over the cell."""

    @property
    def short(self) -> str:
        """Return the text without its explanation."""
        return self.text.partition(":")[0]


KINDS = (
    Kind("hidden", "hidden truth", "#3d424d", 1.3, "3 3"),
    Kind("found", "found earlier", "#1450c8", 1.7),
    Kind("added", "added in this round", "#e07800", 2.3, "", 0.3),
    Kind("annotated", "annotated", "#007a3d", 3.0),
)
"""In the order of drawing: what a person drew lies on top."""

OUTCOMES = (
    Kind("unmarked", "found, not annotated: may be right", "#3d424d", 1.3, "1.5 2.5"),
    Kind("false", "false: no cell is there", "#b3261e", 1.9, "", 0.0, crossed=True),
    Kind("missed", "missed", "#e07800", 2.4, "5 3", 0.25),
    Kind("hit", "found", "#1450c8", 1.9),
)
"""What became of cells in the test part."""


def png_uri(image: NDArray[np.uint8]) -> str:
    """Return an RGB image (h, w, 3) as a PNG data URI."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """Return an RGB image (h, w, 3) as the bytes of a PNG file."""
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    return encoded.tobytes()


def jpeg_uri(image: NDArray[np.uint8]) -> str:
    """Return an RGB image (h, w, 3) as a JPEG data URI: tissue takes a fifth of a PNG's room."""
    quality = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), quality)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def panels_svg(
    story: CropStory | Example, panels: Sequence[CropPanel | FoundPanel], name: str
) -> list[Markup]:
    """Return one SVG for each of a story's panels; the tissue is embedded in the first only."""
    height, width = story.image.shape[:2]
    uri = jpeg_uri(story.image)
    tissue = f'<image id="{name}" width="{width}" height="{height}" href="{uri}"/>'
    drawn = []
    for index, panel in enumerate(panels):
        base = tissue if index == 0 else f'<use href="#{name}"/>'
        paths = "".join(
            _paths(getattr(panel, kind.name), kind, f"{name}-{index}-{kind.name}")
            for kind in kinds_of(panel)
        )
        label = escape(visible(f"{panel.title}: {counts(panel)}. {story.caption}"))
        drawn.append(
            f'<svg class="crop" role="img" aria-label="{label}" viewBox="0 0 {width} {height}">'
            f"{base}{paths}</svg>"
        )
    return [Markup(text) for text in drawn]  # noqa: S704  # made here; its foreign text is escaped


def legend_svg(kind: Kind) -> Markup:
    """Return a short piece of the kind's line."""
    cross = f'<path d="M10 4L18 12M18 4L10 12" {_cross_style(kind)}/>' if kind.crossed else ""
    text = (
        '<svg class="key" aria-hidden="true" viewBox="0 0 28 16">'
        f'<rect x="3" y="3" width="22" height="10" rx="5" {_style(kind)}/>{cross}</svg>'
    )
    return Markup(text)  # noqa: S704  # made of constants


def kinds_of(panel: CropPanel | FoundPanel) -> tuple[Kind, ...]:
    """Return the kinds of outline that a panel has, in the order of drawing."""
    return KINDS if isinstance(panel, CropPanel) else OUTCOMES


def counts(panel: CropPanel | FoundPanel) -> str:
    """Return how many outlines of each kind a panel has, in words."""
    kinds = reversed(kinds_of(panel))
    drawn = [(kind.short, len(getattr(panel, kind.name))) for kind in kinds]
    return ", ".join(f"{number} {text}" for text, number in drawn if number) or "nothing"


def _paths(polygons: Polygons, kind: Kind, name: str) -> str:
    rings = [polygons[row] for row in range(min(len(polygons), MOST_OUTLINES))]
    rings = [_thinned(ring) for ring in rings if len(ring) > 2]
    data = "".join(_ring(ring) for ring in rings)
    if not data:
        return ""
    # A pale line beneath keeps every colour readable on dark nuclei.
    outline = (
        f'<defs><path id="{name}" d="{data}" vector-effect="non-scaling-stroke"/></defs>'
        f'<use href="#{name}" class="halo" style="stroke-width:{kind.width + 1.4:g}"/>'
        f'<use href="#{name}" {_style(kind)}/>'
    )
    if not kind.crossed:
        return outline
    crosses = "".join(_cross(ring) for ring in rings)
    return f'{outline}<path d="{crosses}" {_cross_style(kind)}/>'


def _thinned(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return ring[:: -(-len(ring) // MOST_POINTS)]


def _cross(ring: NDArray[np.float64]) -> str:
    """Return a cross in the middle of a ring, half as wide and high as its box."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    quarter = (high - low) / 4
    (x0, y0), (x1, y1) = (low + quarter).tolist(), (high - quarter).tolist()
    return f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}M{x1:.1f} {y0:.1f}L{x0:.1f} {y1:.1f}"


def _cross_style(kind: Kind) -> str:
    return f'fill="none" stroke="{kind.colour}" stroke-width="{kind.width:g}"'


def _style(kind: Kind) -> str:
    dash = f' stroke-dasharray="{kind.dash}"' if kind.dash else ""
    fill = f'fill="{kind.colour}" fill-opacity="{kind.fill_opacity:g}"'
    return f'{fill} stroke="{kind.colour}" stroke-width="{kind.width:g}"{dash}'


def _ring(ring: NDArray[np.float64]) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in ring.tolist())
    return f"M{points}Z"


def draw(image: NDArray[np.uint8], panel: CropPanel, scale: int = 2) -> NDArray[np.uint8]:
    """Return the crop with its outlines as a picture, ``scale`` times as large, RGB."""
    height, width = image.shape[:2]
    size = (width * scale, height * scale)
    canvas = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    for kind in KINDS:
        colour = tuple(int(kind.colour[i : i + 2], 16) for i in (1, 3, 5))
        polygons: Polygons = getattr(panel, kind.name)
        every = (polygons[row] * scale for row in range(len(polygons)))
        rings = [ring for ring in every if len(ring) > 2]
        for ring in rings:
            if kind.dash:
                lines = _dashes(ring, float(kind.dash.split()[0]) * scale)
            else:
                lines = [np.concatenate([ring, ring[:1]])]
            _stroke(canvas, lines, (255, 255, 255), round((kind.width + 1.4) * scale / 2))
            _stroke(canvas, lines, colour, max(1, round(kind.width * scale / 2)))
    return canvas


def _stroke(
    canvas: NDArray[np.uint8],
    lines: Sequence[NDArray[np.float64]],
    colour: tuple[int, ...],
    width_px: int,
) -> None:
    fixed = [np.round(line * 16).astype(np.int32) for line in lines]
    cv2.polylines(canvas, fixed, False, colour, width_px, cv2.LINE_AA, shift=4)


def _dashes(ring: NDArray[np.float64], length: float) -> list[NDArray[np.float64]]:
    """Return every second piece of a closed ring, each about ``length`` long."""
    closed = np.concatenate([ring, ring[:1]])
    along = np.concatenate([np.zeros(1), np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    starts = np.arange(0, along[-1], 2 * length)
    ends = np.minimum(starts + length, along[-1])

    def at(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        axes = [np.interp(distance, along, closed[:, axis]) for axis in (0, 1)]
        return np.stack(axes, axis=1)

    return [np.stack(pair) for pair in zip(at(starts), at(ends), strict=True)]
