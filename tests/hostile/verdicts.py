"""Our verdict on each damaged or unusual image, beside what three readers made of it.

``python -m tests.hostile.verdicts`` writes docs/hostile-files.md from the folder malformed_images
of ``$SIGNETFLOW_TEST_DATA``; a test compares the two.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from models.errors import ImageError
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

PAGE = Path(__file__).absolute().parents[2] / "docs" / "hostile-files.md"
READERS = ("pillow", "tifffile", "tiffslide")

WHY = {
    "orientation tag": "Pillow turns TIFFs and not JPEGs, tiffslide neither, browsers both: which "
    "way annotations lie is not known.",
    "16 bits": "Which 8 of the 16 bits count is not in the file; Pillow cuts silently.",
    "I;16": "Which 8 of the 16 bits count is not in the file.",
    "uint16": "Which 8 of the 16 bits count is not in the file; Pillow cuts colours silently, "
    "tiffslide fails.",
    "int8": "Signed values are no grey values; Pillow takes them for such.",
    "CMYK": "How ink becomes light depends on a profile; tiffslide hands ink over as RGBA.",
    "LAB": "Pillow does not make RGB of it, tiffslide takes it for RGB.",
    "pictures": "Which of them is meant is not in the file; Pillow takes the first in silence.",
    "at least 64 a side": "A slide of so few pixels is a test file or a rest of one.",
    " x 0 px": "There is nothing to see.",
    "too many": "It claims far more pixels than it has bytes for.",
    "no PNG, JPEG": "Its header is damaged, or of a form that libtiff does not read.",
    "Corrupt JPEG data": "Pixels in its middle are lost: Pillow and OpenCV show it garbled.",
    "Fax4Decode": "Lines are lost: all readers show the rest blank, without a word.",
    "damaged": "Part of it is missing or wrong; half a picture would be taken for tissue.",
}  # fmt: skip
"""Why each kind of refusal is right, by a part of its reason; the first that fits."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file."""

    name: str
    image: NDArray[np.uint8] | None
    """(h, w, 3) RGB if it was read."""
    reason: str
    """Why it was refused, or nothing."""
    others: Mapping[str, str]
    """What each of the readers did."""
    same_as: tuple[str, ...]
    """Readers that are no part of ours, or used otherwise, with the same pixels."""

    @property
    def why(self) -> str:
        """Return why the verdict is right."""
        if not self.reason:
            return f"Same pixels as {' and '.join(self.same_as) or 'nobody'}."
        why = next((text for part, text in WHY.items() if part in self.reason), "")
        failed = [name for name in READERS if self.others.get(name, "ERR").startswith("ERR")]
        return f"No reader can. {why}" if len(failed) == len(READERS) else why


def verdicts(folder: Path) -> Iterator[Verdict]:
    """Yield the verdict on each file that ``outcomes.json`` lists."""
    listed = json.loads((folder / "outcomes.json").read_text())["files"]
    with ImageDecoder() as decoder:
        for entry in listed:
            path = folder / entry["file"]
            image, reason = None, ""
            try:
                image = decoder.decode(path)
            except ImageError as error:
                reason = str(error).removeprefix(f"{path}: ")
            others = {name: entry[name] for name in READERS}
            same = () if image is None else tuple(_same(path, image))
            yield Verdict(path.name, image, reason, others, same)


def _same(path: Path, image: NDArray[np.uint8]) -> Iterator[str]:
    """Yield who decodes a file to the same pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata that Pillow cannot read
        with Image.open(path) as opened:
            seen = np.asarray(opened.convert("RGB"))
    if np.array_equal(seen, image):
        yield "Pillow in RGB"
    if path.suffix.lower() not in {".jpg", ".jpeg"}:  # those we decode with OpenCV ourselves
        found = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if found is not None and np.array_equal(found[..., ::-1], image):
            yield "OpenCV"


def page(found: list[Verdict]) -> str:
    """Return the page that shows all verdicts."""
    n_read = sum(one.image is not None for one in found)
    lines = [
        "# Hostile and unusual files", "",
        f"What signetflow does with {len(found)} damaged, hostile or unusual images from public "
        f"test suites: {n_read} are read, {len(found) - n_read} refused, each by name and reason. "
        "`python -m tests.hostile.verdicts` makes this page from the folder `malformed_images` of "
        "`$SIGNETFLOW_TEST_DATA`, and a test compares it and the pixels.", "",
        *RULES, "",
        "| file | signetflow | Pillow | tifffile | tiffslide | why |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *map(_row, found)]) + "\n"


RULES = """\
The rules behind the verdicts:

- Every file is decoded in a process with a limit on memory (1.25 GB) and time (60 s), at ingest and
  whenever it is read later. A crash, a loop or a bomb ends that process and refuses that file.
- A picture is read if its pixels can be shown as 8-bit RGB without guessing: 8-bit colour, grey,
  palette, 1 and 4 bits; alpha is laid over white. 16 bits, CMYK, Lab and planes of unknown meaning
  are refused: Pillow and tiffslide show several of them with wrong colours and no word.
- A file that asks viewers to turn it (EXIF or TIFF orientation) is refused. QuPath and tiffslide
  show it as stored, browsers and OpenCV turned, Pillow turns TIFFs only: annotations and
  predictions would lie in a frame that nobody knows. Save it upright.
- A TIFF of one level that no scanner wrote is an image, and needs no pixel size. A TIFF of a
  scanner or with levels is a slide: it needs a plausible pixel size, or `--mpp`, and stained
  tissue.
- A colour profile is not applied: networks see the numbers that the scanner wrote.
- What a scanner left out (sparse tiles) is white. A level of another shape than the first is not
  used. A level of one tile is decoded once and kept, up to 256 MiB a tile.
- A file that is cut short, or lost pixels in its middle, is refused, even if some of it can be
  seen: what libjpeg and libtiff only print about damage counts.
- A file that is far larger than its pixels is refused: hashing it could take for ever.
""".splitlines()


def _row(one: Verdict) -> str:
    ours = "read" if one.image is not None else f"refused: {one.reason}"
    if one.image is not None:
        ours += f" ({one.image.shape[1]} x {one.image.shape[0]})"
    cells = [f"`{one.name}`", ours, *(one.others[name] for name in READERS), one.why]
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def data() -> Path | None:
    """Return the folder with the files, None where there is none."""
    root = os.environ.get("SIGNETFLOW_TEST_DATA")
    folder = Path(root) / "malformed_images" if root else None
    return folder if folder and folder.is_dir() else None


def main() -> None:
    """Write the page."""
    folder = data()
    if folder is None:
        raise SystemExit("Set SIGNETFLOW_TEST_DATA to the folder that holds malformed_images.")
    PAGE.write_text(page(list(verdicts(folder))))


if __name__ == "__main__":
    main()
