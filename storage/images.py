"""Image and slide files, decoded in a child with limits on memory and time."""

from __future__ import annotations

import stat
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from models.errors import ImageError, SlideError
from storage.decoder_process import DecoderProcess

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.geometry.tiles import Window

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".scn", ".bif", ".tif", ".tiff"})
MEMORY_LIMIT_MB = 1280
TIMEOUT_S = 60.0
PIXELS_PER_S = 10_000_000
"""Large windows of slides have more time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What an image or slide file is, after a look at its pixels."""

    width: int
    """Of level 0, in pixels."""
    height: int
    mpp: float | None
    """Micrometres per level-0 pixel; None for images that do not say it."""
    level_sizes: tuple[tuple[int, int], ...]
    """Width and height of each level of a slide; empty for an image."""
    overview: NDArray[np.uint8] | None = field(default=None, compare=False)
    """(h, w, 3) RGB of the whole, where it was asked for and can be had quickly."""

    @property
    def is_slide(self) -> bool:
        """Return whether the file is read in parts, and most of it may be glass."""
        return bool(self.level_sizes)


@dataclass(frozen=True, slots=True)
class Asked:
    """A window of a slide that is wanted."""

    window: Window
    """In level-0 pixels; it may reach beyond the slide."""
    downsample: float
    shape: tuple[int, int]
    """Height and width of the result."""
    mpp: float | None
    """As the slide was opened."""
    n_px: int
    """How many pixels must be decoded, about: more take more time."""


class OutOfMemoryError(ImageError):
    """A file needs more memory than its decoder has; one that has more may read it."""


class ImageDecoder:
    """One child process that reads many files; it is started when needed.

    Parameters
    ----------
    memory_limit_mb : int
        Of the child; the interpreter itself takes 10, what reads slides another 80.
    timeout_s : float
        For each file, or window of a slide.
    """

    def __init__(
        self, memory_limit_mb: int = MEMORY_LIMIT_MB, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._process = DecoderProcess(memory_limit_mb)
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the child ahead of the first question; it takes a moment."""
        self._process.start()

    def close(self) -> None:
        """End the child."""
        self._process.end()

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """Return the pixels of an image, (h, w, 3) RGB.

        Raises
        ------
        ImageError
            If it is missing, damaged, of another kind, too large for the limits, or cannot be
            shown faithfully as 8-bit RGB.
        """
        found, pixels = self.opened(path)
        if pixels is None:
            raise ImageError(
                f"{path}: {found.width} x {found.height} px in levels, expected one picture."
            )
        return pixels

    def opened(
        self, path: Path, mpp: float | None = None
    ) -> tuple[Measured, NDArray[np.uint8] | None]:
        """Return what a file is, and the pixels (h, w, 3) of one that is no slide.

        Raises
        ------
        ImageError
            As `measure`.
        """
        return self._asked(path, {"want": "pixels", "mpp": mpp})

    def measure(
        self,
        path: Path,
        mpp: float | None = None,
        *,
        tissue: bool = False,
        overview_px: int | None = None,
    ) -> Measured:
        """Return what a file is, after reading all of an image or a little of each level.

        Parameters
        ----------
        path : Path
            An image or slide.
        mpp : float, optional
            Micrometres per level-0 pixel, in place of what the file says.
        tissue : bool
            Whether a slide without stained tissue is refused; images are not looked at for that.
        overview_px : int, optional
            Longest side of the overview, if one is wanted.

        Raises
        ------
        ImageError
            As `decode`. A `SlideError` for slides, also if the pixel size cannot be believed.
        """
        asked = {"want": "measure", "mpp": mpp, "tissue": tissue, "overview_px": overview_px}
        found, overview = self._asked(path, asked)
        return replace(found, overview=overview)

    def labels(self, path: Path) -> NDArray[np.int32]:
        """Return the values of a label image as they are stored, (h, w): 0 to 2**24 - 1.

        Of a palette, the values are the places in it.

        Raises
        ------
        ImageError
            If it is missing, damaged, coloured, of another kind, or too large for the limits.
        """
        _, packed = self._answer(path, {"want": "labels"}, self._timeout_s)
        if packed is None:  # pragma: no cover  # the answer to this is values or a refusal
            raise ImageError(f"{path}: no values came back.")
        low, middle, high = np.moveaxis(packed.astype(np.int32), 2, 0)
        values: NDArray[np.int32] = low + (middle << 8) + (high << 16)
        return values

    def window(self, path: Path, asked: Asked) -> NDArray[np.uint8]:
        """Return a window of a slide, (h, w, 3) RGB.

        Raises
        ------
        SlideError
            If the file is damaged there.
        """
        request = {"want": "window", **asdict(asked)}
        _, pixels = self._answer(path, request, self._timeout_s + asked.n_px / PIXELS_PER_S)
        if pixels is None:  # pragma: no cover  # the answer to this is pixels or a refusal
            raise ImageError(f"{path}: no pixels came back.")
        return pixels

    def _asked(
        self, path: Path, asked: dict[str, Any]
    ) -> tuple[Measured, NDArray[np.uint8] | None]:
        header, pixels = self._answer(path, asked, self._timeout_s)
        mpp = asked["mpp"]
        found = Measured(
            width=header["width"],
            height=header["height"],
            mpp=header["mpp"] if mpp is None else mpp,
            level_sizes=tuple((width, height) for width, height in header["levels"]),
        )
        return found, pixels

    def _answer(
        self, path: Path, asked: dict[str, Any], timeout_s: float
    ) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        """Return the line that the child answers, and the pixels if some follow it."""
        require_file(path)
        try:
            header, data = self._process.ask({"path": str(path.absolute()), **asked}, timeout_s)
        except TimeoutError as error:
            raise ImageError(
                f"{path}: decoding took more than {timeout_s:g} s and was stopped. The file is "
                f"damaged or far too large."
            ) from error
        except (EOFError, OSError) as error:
            raise ImageError(
                f"{path}: the decoder died on it; {self._process.limit_mb} MiB were allowed. The "
                f"file is damaged or far too large."
            ) from error
        _raise_refusal(path, header)
        if data is None:
            return header, None
        return header, np.frombuffer(data, np.uint8).reshape(*header["shape"], 3)


def _raise_refusal(path: Path, header: dict[str, Any]) -> None:
    if "error" not in header:
        return
    message = f"{path}: {header['error']}"
    if header.get("memory"):
        raise OutOfMemoryError(message)
    raise _refusal_of(path, slide=header.get("slide", False))(message)


def _refusal_of(path: Path, *, slide: bool = False) -> type[ImageError]:
    return SlideError if slide or path.suffix.lower() in SLIDE_SUFFIXES else ImageError


def require_file(path: Path) -> None:
    """Refuse what is not a file: waiting for a pipe or a device could take for ever.

    Raises
    ------
    ImageError
        If there is no file, or it cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise _refusal_of(path)(f"{path}: there is no such file.") from error
    except OSError as error:
        raise _refusal_of(path)(f"{path}: cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(mode):
        raise _refusal_of(path)(
            f"{path}: it is no file but a folder, pipe or device. Leave it out."
        )


def decode_image(
    path: Path, *, memory_limit_mb: int = MEMORY_LIMIT_MB, timeout_s: float = TIMEOUT_S
) -> NDArray[np.uint8]:
    """Return the pixels of one file, (h, w, 3) RGB; for many files use one `ImageDecoder`.

    Raises
    ------
    ImageError
        As `ImageDecoder.decode`.
    """
    with ImageDecoder(memory_limit_mb, timeout_s) as one:
        return one.decode(path)
