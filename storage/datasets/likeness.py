"""Which images show the same pixels under different names: by a perceptual hash.

The hash is of the whole image as a small grey thumbnail, so that another encoding, another size, a
little more light or a turned or mirrored copy changes few of its bits. Crops of an image are other
images to it: that tiles come from one slide, their names or attributes must say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import imagehash
import numpy as np
from PIL import Image

from models.errors import DataLeakError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

SIDE = 24
"""The hash has SIDE x SIDE bits, one for each low frequency. With 8 x 8, as is usual, slides whose
tissue lies at the same place on glass are the same."""
THUMBNAIL_PX = 4 * SIDE
ALIKE_BITS = 86
"""Of 576. Measured: copies re-encoded, resized, turned or brightened differ by at most 64.
Of 22,578 pairs of different stained tissue, blood and nuclei none differs by less than 228;
of 2,556 pairs of made-up slides, all alike on their glass, none by less than 134."""
MINIMUM_CONTRAST = 4.0
"""Standard deviation of the thumbnail's grey values. Of blank glass the hash would be noise."""
BLOCK = 2048
"""Items that are compared at once with all others: bounded memory."""


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two items that show the same pixels."""

    first: str
    second: str
    same_file: bool
    """Whether the files are the same, byte for byte."""

    @property
    def names(self) -> tuple[str, str]:
        """Return the two names, the one that sorts first in front."""
        return self.first, self.second

    def __str__(self) -> str:
        how = "are the same file" if self.same_file else "show the same pixels"
        return f"{self.first} and {self.second} {how}"


def look_of(image: NDArray[np.uint8]) -> str:
    """Return the perceptual hash of an image, (h, w, 3) RGB, as hexadecimal digits.

    It is empty where there is too little to see to tell one image from another.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    if small.std() < MINIMUM_CONTRAST:
        return ""
    return str(imagehash.phash(Image.fromarray(small), SIDE, THUMBNAIL_PX // SIDE))


def same_pixels(looks: Mapping[str, str | None], digests: Mapping[str, str]) -> list[Pair]:
    """Return the pairs of items that show the same pixels, in the order of their names.

    Parameters
    ----------
    looks
        The perceptual hash of each item; where it is empty or None, the file alone is compared.
    digests
        The sha256 of each item's file.
    """
    found = {names: Pair(*names, same_file=False) for names in _near(looks)}
    found |= {names: Pair(*names, same_file=True) for names in _equal(digests)}
    return sorted(found.values())


def _equal(digests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each item whose file was seen before, with the first that has it."""
    first_of: dict[str, str] = {}
    for name in sorted(digests):
        first = first_of.setdefault(digests[name], name)
        if first != name:
            yield first, name


def _near(looks: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    known = {name: look for name, look in sorted(looks.items()) if look}
    names = list(known)
    if len(names) < 2:
        return
    bits = np.stack([_bits(look) for look in known.values()])
    views = _views(bits)
    for start in range(0, len(names), BLOCK):
        part = bits[start : start + BLOCK].reshape(-1, SIDE * SIDE)
        # Of two patterns of +1 and -1, the product says how many bits agree less how many differ.
        agreement = np.max([part @ view.T for view in views], axis=0)
        for row, column in np.argwhere(agreement >= SIDE * SIDE - 2 * ALIKE_BITS).tolist():
            if start + row < column:
                yield names[start + row], names[column]


def _bits(look: str) -> NDArray[np.float32]:
    """Return a hash as +1 and -1, (SIDE, SIDE)."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(look), np.uint8)).reshape(SIDE, SIDE)
    return np.where(bits, np.float32(1), np.float32(-1))


def _views(bits: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return hashes (n, SIDE, SIDE) as the eight views of a turned or mirrored image have them.

    A mirrored image has the same cosine transform but for the sign of its odd frequencies, so that
    nothing has to be read again. The hash cuts at the median, which is near 0: a few bits differ.
    """
    flip = np.where(np.arange(SIDE) % 2, np.float32(-1), np.float32(1))
    upright = (bits, bits.transpose(0, 2, 1))
    mirrored = [view * flip for view in upright]
    both = [*upright, *mirrored]
    return [
        np.ascontiguousarray(view).reshape(len(bits), SIDE * SIDE)
        for view in (*both, *(view * flip[:, None] for view in both))
    ]


EVERY_PAIR = "all"


def told_apart(
    said: Sequence[str], pairs: Sequence[Pair], names: Collection[str]
) -> set[tuple[str, str]]:
    """Return the pairs that a person says are different, from ``A=B`` or ``all``.

    Raises
    ------
    WrongUseError
        If one is neither, or names an item that the dataset does not have.
    """
    if EVERY_PAIR in said:
        return {pair.names for pair in pairs}
    return {_pair_of(text, names) for text in said}


def _pair_of(text: str, names: Collection[str]) -> tuple[str, str]:
    places = [place for place, sign in enumerate(text) if sign == "="]  # a name may hold one, too
    for place in places:
        one, other = text[:place], text[place + 1 :]
        if one in names and other in names:
            return (one, other) if one < other else (other, one)
    raise WrongUseError(
        f"--allow-alike {text!r}: expected the names of two items of this dataset as A=B, "
        f"or {EVERY_PAIR} for every pair that was found."
    )


def require_apart(pairs: Sequence[Pair], group_of: Mapping[str, str]) -> None:
    """Prove that no two groups show the same pixels.

    Raises
    ------
    DataLeakError
        If two do: a fold would be tested on what another trains on.
    """
    leaks = [pair for pair in pairs if group_of[pair.first] != group_of[pair.second]]
    if not leaks:
        return
    shown = "; ".join(
        f"{pair}, in groups {group_of[pair.first]} and {group_of[pair.second]}"
        for pair in leaks[:SHOWN]
    )
    more = f"; and {len(leaks) - SHOWN} more pairs" if len(leaks) > SHOWN else ""
    raise DataLeakError(
        f"{shown}{more}. Training and test would share them. Leave one of each pair out, give both "
        f"the same slide or patient, or, if they are different tissue, add "
        f"--allow-alike {leaks[0].first}={leaks[0].second}"
    )


SHOWN = 5
