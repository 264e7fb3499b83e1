"""The program that decodes image files and slides in a process of its own.

A damaged or hostile file can exhaust memory or time, or crash the decoder: then it is this process
that dies. It is run as a script and reads one JSON request per line. Each is answered with one line
of JSON, followed by pixels if they were asked for. What reads slides is imported at the first TIFF.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from storage.slide_answers import SlideAnswers

FORMATS = ("PNG", "JPEG", "BMP")
MODES = ("RGB", "RGBA", "L", "LA", "P", "1")
ORIENTATION = 0x0112
RESOLUTION = (282, 283, 296)
"""Tags: pixels per unit across and down, and the unit."""
ASKS_TO_BE_TURNED = (2, 3, 4, 5, 6, 7, 8)
TURNED = (
    "its orientation tag asks viewers to turn it, and programs differ in whether they do: it is "
    "not clear which way annotations lie. Save it upright, without that tag."
)
MAXIMUM_PX = 100_000_000
"""Of an image that is kept whole in memory: 10,000 x 10,000. Larger ones need levels."""
BYTES_PER_PIXEL = 12
"""What decoding holds at its worst: Pillow's 4, and all coefficients of a progressive JPEG."""
SPARE_BYTES = 64 << 20
"""Of what a file may hold besides pixels: profiles, labels, other levels of small slides."""
BAND_PX = 1 << 20
TEXT_BYTES = 64 << 20
"""Of a PNG's colour profile, unpacked. Pillow stops at 1 MiB, and slides have 1.7 MB."""
TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNKNOWN = "it is no PNG, JPEG, BMP or TIFF of a kind that is read, or its beginning is damaged."
MORE_MEMORY = "more memory than is allowed"
PROGRAMS_BYTES = 1 << 30
"""Address space for libraries, on top of the memory that is limited."""
SHORTEST_S = 0.001
"""A timer of 0 would be none."""
SPARE_S = 2
"""How long after its time this process ends itself, where nobody is left to end it."""

Answer = tuple["Mapping[str, Any]", "Iterable[bytes | memoryview]"]
"""What goes into the line, and the pixels that follow it."""


def is_tiff(path: str | Path) -> bool:
    """Return whether a file begins like a TIFF, which most slides are."""
    with Path(path).open("rb") as stream:
        return stream.read(4) in TIFF_BEGINNINGS


def refusal(image: Image.Image) -> str | None:
    """Return why an opened image cannot be read faithfully as 8-bit RGB, or None.

    Call it before the pixels are decoded: Pillow turns a TIFF then, and forgets its tag.
    """
    width, height = image.size
    if width * height > MAXIMUM_PX:
        return (
            f"{width} x {height} px are too many for an image without levels, at most {MAXIMUM_PX} "
            f"px are read. Convert it to a tiled pyramid, for example with vips."
        )
    if image.mode not in MODES:
        return f"its pixels are {image.mode}, expected 8-bit RGB or grey. Convert it to RGB first."
    if any("16" in _packing(tile[3]) for tile in getattr(image, "tile", ())):
        return "it has 16 bits per channel, expected 8. Convert it to 8-bit RGB first."
    if image.getexif().get(ORIENTATION, 1) in ASKS_TO_BE_TURNED:
        return TURNED
    return None


def overfull(path: str | Path, n_px: int) -> str | None:
    """Return why a file is far larger than its pixels, or None: reading it could take for ever."""
    size, most = Path(path).stat().st_size, SPARE_BYTES + BYTES_PER_PIXEL * n_px
    if size <= most:
        return None
    return (
        f"it has {size} bytes, but its {n_px} px take at most {most}. It is damaged or holds "
        f"something else; save its image anew."
    )


def _packing(arguments: object) -> str:
    """Return how the file packs its pixels, for example RGB;16B, from what its decoder is told."""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return str(first)


def rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB; what is transparent becomes white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


class Answers:
    """Answers requests within a memory limit, whatever the file.

    Parameters
    ----------
    limit_bytes : int
        Of what this process may hold.
    heard : callable, optional
        Returns what libraries printed since it was called before.
    """

    def __init__(self, limit_bytes: int, heard: Callable[[], str] = str) -> None:
        self._limit_bytes = limit_bytes
        self._heard = heard
        self._slides: SlideAnswers | None = None

    def answer(self, request: Mapping[str, Any], out: IO[bytes]) -> None:
        """Write a line of JSON; where pixels were wanted and can be had, they follow."""
        header: Mapping[str, Any]
        pixels: Iterable[bytes | memoryview] = ()
        try:
            header, pixels = self._look(request)
        except UnidentifiedImageError:
            header = {"error": UNKNOWN}
        except MemoryError:
            header = {"error": f"decoding it needs {MORE_MEMORY}.", "memory": True}
        # Pillow's plugins and tifffile raise nearly anything on damaged files; the answer must
        # always come.
        except Exception as error:  # noqa: BLE001
            header = _refused(error)
        out.write(json.dumps(header).encode() + b"\n")
        for part in pixels:
            out.write(part)
        out.flush()

    def _look(self, request: Mapping[str, Any]) -> Answer:
        path = request["path"]
        if request["want"] == "labels":
            from storage.label_answers import labels  # few datasets have label images

            return labels(request, self._limit_bytes)
        if not is_tiff(path):
            return self._image(request, FORMATS)
        if self._slides is None:
            from storage.slide_answers import SlideAnswers  # many folders have no TIFF

            self._slides = SlideAnswers()
        if request["want"] == "window":
            return self._slides.window(request)
        if self._slides.is_flat(path):
            return self._image(request, ("TIFF",))
        return self._slides.measure(request)

    def _image(self, request: Mapping[str, Any], formats: tuple[str, ...]) -> Answer:
        path = request["path"]
        self._heard()  # of the file before
        with Image.open(path, formats=formats) as image:
            width, height = image.size
            reason = refusal(image) or overfull(path, width * height)
            if reason:
                return {"error": reason}, ()
            if width * height * BYTES_PER_PIXEL > self._limit_bytes:
                error = f"{width} x {height} px need {MORE_MEMORY}."
                return {"error": error, "memory": True}, ()
            header: dict[str, Any] = {"width": width, "height": height, "levels": []}
            header["mpp"] = _mpp_of(image)
            side_px = 0 if request["want"] == "pixels" else request.get("overview_px") or 1
            seen = _decoded(image, path, side_px)
        from storage.complaints import damage_in

        damage = damage_in(self._heard())
        if damage:
            return {"error": f"it is damaged ({damage})."}, ()
        if side_px == 1:
            return header | {"shape": None}, ()
        seen = _shrunk(seen, side_px) if side_px else seen
        return header | {"shape": [seen.height, seen.width]}, _bands(seen)


def _decoded(image: Image.Image, path: str, side_px: int) -> Image.Image:
    """Return all pixels of an image, or fewer where that is quicker and an overview needs no more.

    A JPEG is decoded by OpenCV, to the same pixels: it tells of damage that Pillow is silent about.

    Parameters
    ----------
    image, path
        The opened file.
    side_px : int
        Longest side of the overview; 0 for all pixels.
    """
    if image.format not in {"JPEG", "MPO"}:
        image.load()
        return image
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    coarser = max(image.size) * 2 // side_px if side_px else 1  # half as many as wanted will do
    how = cv2.IMREAD_COLOR
    for factor in (2, 4, 8):
        if coarser >= factor:
            how = getattr(cv2, f"IMREAD_REDUCED_COLOR_{factor}")
    found = cv2.imdecode(np.fromfile(path, np.uint8), how | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None:
        image.load()  # raises the reason
        return image
    return Image.fromarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB))


def _shrunk(image: Image.Image, side_px: int) -> Image.Image:
    """Return an image with no side longer than that."""
    scale = max(image.size) / side_px
    if scale <= 1:
        return image
    small = max(1, round(image.width / scale)), max(1, round(image.height / scale))
    return rgb(image).resize(small, Image.Resampling.BOX)


def _mpp_of(image: Image.Image) -> float | None:
    """Return the micrometres per pixel that a TIFF's tags give, None for other formats."""
    if image.format != "TIFF":
        return None
    from storage.tiff_files import mpp_of_tags

    tags = image.getexif()
    return mpp_of_tags(*(tags.get(tag) for tag in RESOLUTION))


def _refused(error: Exception) -> dict[str, Any]:
    from models.errors import InputError, SlideError

    said, kind = str(error), type(error).__name__
    if isinstance(error, InputError):
        return {"error": said, "slide": isinstance(error, SlideError)}
    first = f": {said.splitlines()[0]}" if said else ""
    return {"error": f"it is damaged ({kind}{first})."}


def _bands(image: Image.Image) -> Iterator[bytes]:
    """Yield the pixels as RGB, from top to bottom."""
    step = max(1, BAND_PX // image.width)
    for y in range(0, image.height, step):
        yield rgb(image.crop((0, y, image.width, min(image.height, y + step)))).tobytes()


def _limit_memory(limit_bytes: int) -> None:
    whole = limit_bytes + PROGRAMS_BYTES
    for kind, limit in ((resource.RLIMIT_DATA, limit_bytes), (resource.RLIMIT_AS, whole)):
        with contextlib.suppress(ValueError, OSError):  # macOS knows them, and refuses
            resource.setrlimit(kind, (limit, limit))


def main(heard: Callable[[], str] = str) -> None:
    """Answer requests until there are no more; the argument is the memory limit in bytes."""
    limit = int(sys.argv[1])
    _limit_memory(limit)
    # The pixels are checked above, with a reason that names the limit.
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = TEXT_BYTES
    answers = Answers(limit, heard)
    for line in sys.stdin:
        request = json.loads(line)
        # Both end this process. Of processor time there is a limit; of time, for those who wait.
        signal.setitimer(signal.ITIMER_PROF, max(request["timeout_s"], SHORTEST_S))
        signal.setitimer(signal.ITIMER_REAL, request["wall_s"] + SPARE_S)
        answers.answer(request, sys.stdout.buffer)
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)


if __name__ == "__main__":
    # Started alone, without the environment: it must still find what reads slides.
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))
    from storage.complaints import Complaints

    main(Complaints().heard)
