"""Which annotation file belongs to which image of a folder."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ImageBy = Literal["both", "stem", "name"]
"""How an annotation file's image is found: by the stem the two share, by the name in the file, or
by both as long as they do not contradict each other."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Annotation files with their images, and images without annotations."""

    image_of: Mapping[str, str]
    """By annotation file, each in the order of its name."""
    wrong: Mapping[str, str]
    """Annotation files without an image of their own, and why."""
    alone: tuple[str, ...]
    """Images that no annotation file belongs to, in folders where others have one."""


def pairs(named: Mapping[str, str], images: Sequence[str], by: ImageBy = "both") -> Pairs:
    """Return which image each annotation file is about.

    The name that a file gives is only looked up among the images of the folder, so that it cannot
    lead out of it.

    Parameters
    ----------
    named
        The image that each annotation file names; nothing where it names none.
    images
        All images, relative to the dataset's folder.
    by
        What decides.
    """
    finder = _Finder(images)
    image_of: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for file, name in named.items():
        found, reason = finder.find(file, name, by)
        if reason:
            wrong[file] = reason
        else:
            image_of[file] = found
    owners: dict[str, list[str]] = defaultdict(list)
    for file, image in image_of.items():
        owners[image].append(file)
    for image, files in owners.items():
        for file in files if len(files) > 1 else ():
            others = ", ".join(one for one in files if one != file)
            wrong[file] = f"{others} is about the same image {image}. Merge them, or delete one."
            del image_of[file]
    folders = {_folder(image) for image in owners}
    alone = (one for one in images if one not in owners and _folder(one) in folders)
    return Pairs(image_of, wrong, tuple(alone))


def _folder(file: str) -> str:
    return str(PurePosixPath(file).parent)


class _Finder:
    """Finds images by stem and by name."""

    def __init__(self, images: Iterable[str]) -> None:
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for image in images:
            path = PurePosixPath(image)
            self._by_stem[path.stem].append(image)
            self._by_name[path.name].append(image)

    def find(self, file: str, name: str, by: ImageBy) -> tuple[str, str]:
        """Return an annotation file's image, or nothing and why there is none."""
        base = PureWindowsPath(name).name  # knows both kinds of slashes
        stem = PurePosixPath(file).stem
        same_stem = self._by_stem.get(stem, []) if by != "name" else []
        same_name = self._by_name.get(base) or self._by_stem.get(base, []) if by != "stem" else []
        if not same_stem and not same_name:
            wanted = f" or {base!r:.80}" if base and base != stem else ""
            return "", f"there is no image {stem}.*{wanted} for it in the folder."
        both = [one for one in same_name if one in same_stem]
        if same_stem and same_name and not both:
            return "", (
                f"it names {same_name[0]}, but {same_stem[0]} has its own stem. Correct its "
                f"filename, or say which counts with --image-by stem or --image-by name."
            )
        return _nearest(file, both or same_name or same_stem)


def _nearest(file: str, images: Sequence[str]) -> tuple[str, str]:
    """Return the image whose folders are most like those of the file."""
    likeness = [_likeness(file, image) for image in images]
    best = [image for image, like in zip(images, likeness, strict=True) if like == max(likeness)]
    if len(best) > 1:
        return "", f"{' and '.join(best[:2])} could both be its image. Rename one."
    return best[0], ""


def _likeness(first: str, second: str) -> int:
    one, other = PurePosixPath(first).parent.parts, PurePosixPath(second).parent.parts
    return 2 * (one == other) + _shared(one, other) + _shared(one[::-1], other[::-1])


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at the beginning are equal."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
