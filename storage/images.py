"""Region images: png, jpeg and bmp files, decoded in a child with limits on memory and time."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from models.errors import ImageError
from storage import decoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
MEMORY_LIMIT_MB = 2048
TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20


class ImageDecoder:
    """One child process that decodes many files; it is started when needed.

    Parameters
    ----------
    memory_limit_mb : int
        Of the child's address space; the interpreter itself takes about 100.
    timeout_s : float
        For each file.
    """

    def __init__(
        self, memory_limit_mb: int = MEMORY_LIMIT_MB, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._limit_mb = memory_limit_mb
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.communicate()

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """Return the pixels of a file, (h, w, 3) RGB.

        Raises
        ------
        ImageError
            If it is missing, damaged, of another kind, too large for the limits, or cannot be
            shown faithfully as 8-bit RGB.
        """
        if not path.is_file():
            raise ImageError(f"{path}: there is no such file.")
        child = self._started()
        deadline = time.monotonic() + self._timeout_s
        request = json.dumps({"path": str(path.absolute())}) + "\n"
        try:
            _pipe(child.stdin).write(request.encode())
            _pipe(child.stdin).flush()
        except OSError as error:
            self.close()
            raise self._died(path) from error
        header = json.loads(self._line(child, path, deadline))
        if "error" in header:
            raise ImageError(f"{path}: {header['error']}")
        height, width = int(header["height"]), int(header["width"])
        pixels = self._bytes(child, path, (height * width * 3, deadline))
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            script = str(Path(decoder.__file__).absolute())
            # Isolated: neither the environment nor the working directory may change what it runs.
            self._child = subprocess.Popen(  # noqa: S603  # our own interpreter and script
                [sys.executable, "-I", script, str(self._limit_mb * 2**20)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        return self._child

    def _line(self, child: subprocess.Popen[bytes], path: Path, deadline: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._some(child, path, (1, deadline))
        return line

    def _bytes(
        self, child: subprocess.Popen[bytes], path: Path, wanted: tuple[int, float]
    ) -> bytearray:
        n_bytes, deadline = wanted
        found = bytearray()
        while len(found) < n_bytes:
            missing = min(_CHUNK_BYTES, n_bytes - len(found))
            found += self._some(child, path, (missing, deadline))
        return found

    def _some(self, child: subprocess.Popen[bytes], path: Path, wanted: tuple[int, float]) -> bytes:
        """Return at least one byte of the answer, in time."""
        n_bytes, deadline = wanted
        stdout = _pipe(child.stdout)
        ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            self.close()
            raise ImageError(
                f"{path}: decoding took more than {self._timeout_s:g} s and was stopped. "
                f"The file is damaged or far too large."
            )
        some: bytes = stdout.read(n_bytes)
        if not some:
            self.close()
            raise self._died(path)
        return some

    def _died(self, path: Path) -> ImageError:
        return ImageError(
            f"{path}: the decoder died on it; {self._limit_mb} MiB were allowed. "
            f"The file is damaged or far too large."
        )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # pragma: no cover  # Popen was given pipes
        raise RuntimeError("the decoder has no pipe")
    return stream


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


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height from the file's header; its pixels may still be damaged.

    Raises
    ------
    ImageError
        If the header is missing or of a kind that cannot be read as 8-bit RGB.
    """
    try:
        with Image.open(path, formats=decoder.FORMATS) as image:
            # Else Pillow 13.0 decodes a whole PNG, here, to look for EXIF behind its pixels.
            image.info.setdefault("exif", None)
            size, reason = image.size, decoder.refusal(image)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: there is no such file.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: no readable PNG, JPEG or BMP ({error}).") from error
    if reason:
        raise ImageError(f"{path}: {reason}")
    return size
