"""Where the images of a COCO file lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import AnnotationError
from storage.datasets.listing import listing
from storage.datasets.naming import naming
from storage.images import SLIDE_SUFFIXES, SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from storage.datasets.coco_document import ImageEntry


class ImageFiles:
    """Finds the files of images, each for one image only.

    Parameters
    ----------
    beside
        The folder of the JSON file.
    images
        The folder of the images, where they do not lie there. In it an image may also be called by
        its name in a dataset, as exported labels call it.

    Raises
    ------
    InputError
        If there is no such folder of images.
    """

    def __init__(self, beside: Path, images: Path | None) -> None:
        self._folders = (beside, beside / "images") if images is None else (images,)
        files = listing(images, SUFFIXES | SLIDE_SUFFIXES).files if images else ()
        self._name_of = naming(files)
        self._called = {self._name_of(file): file for file in files}
        self._known = frozenset(files)
        self._taken: set[Path] = set()

    def find(self, image: ImageEntry) -> tuple[str, Path]:
        """Return the name and the file of an image.

        Raises
        ------
        AnnotationError
            If it is missing, lies elsewhere, or was found for another image.
        """
        file_name = self._called.get(image.file_name, image.file_name)
        path = find_image(file_name, self._folders)
        if path in self._taken:
            raise AnnotationError(
                f"its file {path.name} is that of another entry, too; merge the entries into one."
            )
        self._taken.add(path)
        name = self._name_of(file_name) if file_name in self._known else image.name
        return name, path


def find_image(file_name: str, folders: tuple[Path, ...]) -> Path:
    """Return an image file that lies in one of the folders; the first holds the others.

    Raises
    ------
    AnnotationError
        If it is missing, or lies elsewhere: a dataset must not make us read other files.
    """
    inside = folders[0].resolve()
    for base in folders:
        try:
            path = (base.resolve() / file_name).resolve()
            if not path.is_relative_to(inside):
                raise AnnotationError(
                    f"its file_name {file_name!r} leads out of the folder {folders[0]} and is not "
                    f"followed. Put the image into that folder and name it relative to it."
                )
            if path.is_file():
                return path
        except (OSError, RuntimeError) as error:  # too long a name; links that go in circles
            raise AnnotationError(f"its file_name {file_name:.80} is no path ({error}).") from error
    places = " or ".join(map(str, folders))
    raise AnnotationError(
        f"there is no file {file_name:.80} in {places}. Copy it there, correct file_name, or say "
        f"with --images where the images lie."
    )
