"""Region images: one window over everything, with a role and perhaps cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.annotations import Annotations, Role
from models.errors import AnnotationError, WrongUseError
from models.geometry.tiles import MAXIMUM_MPP, MINIMUM_MPP, Window, plausible_mpp
from storage.datasets.protocol import KnownWindow, SourceItem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storage.images import Measured


@dataclass(frozen=True, slots=True)
class Said:
    """What a dataset says of a region image."""

    role: Role
    annotations: Annotations = field(default_factory=Annotations.none)
    complete: bool = False
    """Whether every cell of a positive image is annotated."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """The slide too, where it is known; else each image is a slide of its own."""
    noticed: Mapping[str, int] = field(default_factory=dict)


def region_image(name: str, path: Path, file: Measured, said: Said) -> SourceItem:
    """Return a region image as an item; a negative one has an empty truth."""
    known = said.complete or said.role is Role.NEGATIVE
    return SourceItem(
        name=name,
        path=path,
        width=file.width,
        height=file.height,
        mpp=file.mpp,
        windows=(KnownWindow(Window(0, 0, file.width, file.height), said.role),),
        rest=None,
        annotations=said.annotations,
        truth=said.annotations if known else None,
        attributes={"slide": name, **said.attributes},
        noticed=said.noticed,
    )


def require_role(role: Role, n_cells: int) -> None:
    """Raise `AnnotationError` if an image of that role cannot have cells, and has some."""
    if n_cells and role is not Role.POSITIVE:
        raise AnnotationError(
            f"it is called {role} but has {n_cells} annotations of the class. Call it positive, or "
            f"delete the annotations."
        )


def require_plausible(mpp: float | None) -> None:
    """Raise `WrongUseError` if a pixel size is none of a microscope."""
    if mpp is not None and not plausible_mpp(mpp):
        raise WrongUseError(
            f"--mpp {mpp:g} is none of a microscope: expected {MINIMUM_MPP:g} to {MAXIMUM_MPP:g} "
            f"micrometres per pixel."
        )
