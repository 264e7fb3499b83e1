"""Read the signet ring cells of DigestPath 2019, and folders arranged like them.

A positive folder holds images with a Pascal VOC XML file beside each, a negative folder images
free of signet ring cells. In the challenge they are called sig-train-pos and sig-train-neg; here
any folder counts whose name has pos, positive, neg or negative as a word. How many files there are
is nobody's business: the publications that describe the data disagree on that.

Names of the challenge's images say where they come from::

    2018_64982_1-3_2019-02-25 21_57_36-lv0-33516-59515-2003-2010.jpeg
    D20190481111_2019-06-10 09_22_49-lv0-61840-23896-2000-2000.jpeg

that is case, block and glass (1-3), the time of the scan, level, corner x and y, width and height.
So tiles of one slide share what comes before the time, and a case what comes before the glass. Of
the second form the last two digits are taken for the number of the glass: nobody documents it, and
if it is wrong, groups are only larger than they need be.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from models.annotations import Role
from models.errors import InputError
from storage.datasets.listing import listing
from storage.datasets.naming import naming
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.region_image import require_plausible
from storage.datasets.voc import IMAGE_SUFFIXES, XML, ImagesWithXml, VocOptions
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WORDS = {
    **dict.fromkeys(("pos", "positive", "positives"), Role.POSITIVE),
    **dict.fromkeys(("neg", "negative", "negatives"), Role.NEGATIVE),
}
_TIME = r"\d{4}-\d\d-\d\d[ _]\d\d[_:-]\d\d[_:-]\d\d"
_NAME = re.compile(rf"(?P<slide>.+)_{_TIME}-lv\d+-\d+-\d+-\d+-\d+", re.ASCII)
_CASES = (
    re.compile(r"(?P<case>\d{4}_\d+)_\d+(-\d+)?", re.ASCII),
    re.compile(r"(?P<case>[A-Z]\d{8,})\d\d", re.ASCII),
)


class _Image(NamedTuple):
    file: str
    xml: str
    """Empty where there is none."""
    role: Role | None
    """What its folder says; None where no folder says anything."""


class DigestPathReader:
    """Yields the images of positive and negative folders.

    Parameters
    ----------
    folder : Path
        Holds the folders, or is one of them.
    options : VocOptions, optional
        What the files do not say; `role` is said by the folders, `without_xml` is about positive
        folders.

    Raises
    ------
    WrongUseError
        If the pixel size is none of a microscope.
    """

    def __init__(self, folder: Path, options: VocOptions | None = None) -> None:
        self._folder = folder
        self._options = options or VocOptions()
        require_plausible(self._options.mpp)
        self.total = 0
        """How many images there are, and XML files without one; known once reading has begun."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each image, and each file or object that cannot be used.

        Raises
        ------
        InputError
            If there is no such folder, or no positive or negative folder with images in it.
        WrongUseError
            If no file has an object of a class that is asked for; known once all are read.
        """
        files = listing(self._folder, {*IMAGE_SUFFIXES, XML})
        images = _images(self._folder, files.files)
        orphans = _orphans(files.files, images)
        self.total = len(files.refused) + len(images) + len(orphans)
        name_of = naming(image.file for image in images)
        yield from files.refused
        yield from (RefusedItem(one, "there is no image beside it.") for one in orphans)
        with ImageDecoder() as decoder:
            readers = {
                role: ImagesWithXml(self._folder, replace(self._options, role=role), decoder)
                for role in (Role.POSITIVE, Role.NEGATIVE)
            }
            for image in images:
                yield from self._read(image, name_of(image.file), readers)
        readers[Role.POSITIVE].require_classes()

    def _read(
        self, image: _Image, name: str, readers: dict[Role, ImagesWithXml]
    ) -> Iterator[SourceItem | RefusedItem]:
        origin = origin_of(PurePosixPath(image.file).stem)
        if image.role is None:
            yield RefusedItem(
                image.file,
                "it lies in no folder called positive or negative, so that nobody says what it is. "
                "Move it into one.",
            )
        elif image.xml:
            yield from readers[image.role].annotated(image.file, name, image.xml, origin)
        else:
            positive = image.role is Role.POSITIVE
            what = self._options.without_xml if positive else "negative"
            yield readers[image.role].bare(image.file, name, what, origin)


def _images(folder: Path, files: Sequence[str]) -> list[_Image]:
    """Return all images with the XML files beside them.

    Raises
    ------
    InputError
        If no folder says that its images are positive or negative.
    """
    xmls = {str(PurePosixPath(one).with_suffix("")): one for one in files if _is_xml(one)}
    above = _role_of(folder.resolve().name)
    images = [
        _Image(one, xmls.get(str(PurePosixPath(one).with_suffix("")), ""), _role_in(one) or above)
        for one in files
        if not _is_xml(one)
    ]
    if not any(image.role for image in images):
        raise InputError(
            f"{folder}: no images in a folder called positive or negative. Expected folders such "
            f"as sig-train-pos, with an XML file beside each image, and sig-train-neg."
        )
    return images


def _is_xml(file: str) -> bool:
    return file.lower().endswith(XML)


def _orphans(files: Sequence[str], images: Sequence[_Image]) -> list[str]:
    used = {image.xml for image in images}
    return [one for one in files if _is_xml(one) and one not in used]


def _role_in(file: str) -> Role | None:
    """Return what the innermost folder says that says anything."""
    folders = PurePosixPath(file).parent.parts[::-1]
    return next((role for one in folders if (role := _role_of(one))), None)


def _role_of(folder: str) -> Role | None:
    words = [_WORDS[word] for word in re.split(r"[^a-z]+", folder.lower()) if word in _WORDS]
    return words[0] if len(set(words)) == 1 else None


def origin_of(stem: str) -> dict[str, str]:
    """Return slide and patient as the stem of an image's file says them; nothing if it does not.

    A glass that was scanned twice is one slide: the time of the scan is left out.
    """
    named = _NAME.fullmatch(stem)
    if not named:
        return {}
    slide = named["slide"]
    cases = (pattern.fullmatch(slide) for pattern in _CASES)
    case = next((found["case"] for found in cases if found), "")
    return {"slide": slide, "patient": case} if case else {"slide": slide}
