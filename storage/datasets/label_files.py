"""Which label image, or which masks of single cells, belong to which image."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "raw"})
LABEL_FOLDERS = frozenset({"labels", "label", "masks", "mask", "instances", "groundtruth", "gt"})
_IMAGE_END = re.compile(r"[_-](img|image|raw)$", re.IGNORECASE)
_LABEL_END = re.compile(r"[_-](cp_masks|masks?|labels?|instances?|gt)$", re.IGNORECASE)
"""What Cellpose and others add to the name of an image."""


class Labelled(NamedTuple):
    """An image with what says where its cells are."""

    image: str
    labels: str
    """One image with a value for each cell; empty where there are masks."""
    masks: tuple[str, ...]
    """One image for each cell."""


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """The files of a dataset, sorted out."""

    labelled: tuple[Labelled, ...]
    """In the order of the images."""
    alone: tuple[str, ...]
    """Images without labels."""
    wrong: Mapping[str, str]
    """Label images that belong to no image of their own, and why."""


class _File(NamedTuple):
    path: str
    place: str
    """The folder that holds the folders of images and labels, or files of both."""
    is_label: bool
    key: str
    """What the files of one image share: folders below the special one, and the stem."""


def label_files(files: Sequence[str], labels_folder: str | None = None) -> LabelFiles:
    """Return what belongs together.

    Parameters
    ----------
    files
        Relative to the dataset's folder, in order.
    labels_folder
        The name of the folders that hold labels, where several could.
    """
    names = LABEL_FOLDERS if labels_folder is None else frozenset({labels_folder.lower()})
    places: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        found = _sorted(file, names)
        if found is not None:
            places[found.place].append(found)
    labelled: list[Labelled] = []
    wrong: dict[str, str] = {}
    for place in places.values():
        matched, orphans = _matched(place)
        labelled += matched
        wrong |= orphans
    with_cells = {one.image for one in labelled}
    images = [one.path for place in places.values() for one in place if not one.is_label]
    alone = sorted(one for one in images if one not in with_cells)
    return LabelFiles(tuple(sorted(labelled)), tuple(alone), dict(sorted(wrong.items())))


def _sorted(file: str, label_folders: frozenset[str]) -> _File | None:
    """Return what a file is by its name; None for labels of others than those asked for."""
    path = PurePosixPath(file)
    folders = path.parent.parts
    for depth in range(len(folders) - 1, -1, -1):
        name = folders[depth].lower()
        is_label = name in label_folders
        if is_label or name in IMAGE_FOLDERS:
            end = _LABEL_END if is_label else _IMAGE_END
            key = "/".join((*folders[depth + 1 :], end.sub("", path.stem)))
            return _File(file, "/".join(folders[:depth]), is_label, key)
        if name in LABEL_FOLDERS:
            return None
    is_label = _LABEL_END.search(path.stem) is not None
    key = (_LABEL_END if is_label else _IMAGE_END).sub("", path.stem)
    return _File(file, f"{path.parent}/", is_label, key)


def _matched(place: Sequence[_File]) -> tuple[list[Labelled], dict[str, str]]:
    """Return images with their labels, and labels without an image of their own."""
    labels, images = _by_key(place, is_label=True), _by_key(place, is_label=False)
    everything = [one for files in images.values() for one in files]
    if len(everything) == 1 and labels and not set(labels) & set(images):
        # As in the Data Science Bowl of 2018: one folder for each image, one mask for each cell.
        masks = tuple(sorted(one for files in labels.values() for one in files))
        return [Labelled(everything[0], "", masks)], {}
    if not everything:
        parents = {str(PurePosixPath(one.path).parent) for one in place}
        return [], dict.fromkeys(parents, "there is no image for the labels in it.")
    found: list[Labelled] = []
    wrong: dict[str, str] = {}
    for key, files in labels.items():
        of = images.get(key, [])
        if len(of) == len(files) == 1:
            found.append(Labelled(of[0], files[0], ()))
        else:
            wrong |= dict.fromkeys(files, _why_unmatched(key, files, of))
    return found, wrong


def _by_key(place: Sequence[_File], *, is_label: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one in place:
        if one.is_label is is_label:
            found[one.key].append(one.path)
    return found


def _why_unmatched(key: str, labels: Sequence[str], images: Sequence[str]) -> str:
    if not images:
        return f"there is no image {PurePosixPath(key).name}.* for it."
    if len(images) > 1:
        return f"{' and '.join(images[:2])} could both be its image. Rename one."
    return (
        f"{' and '.join(labels[:2])} are about the same image {images[0]}. Delete one, or name the "
        f"folder that counts with --labels."
    )
