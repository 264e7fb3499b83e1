"""What the decoder's process answers about label images: values that are no colours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from PIL import Image

from storage.decoder import BYTES_PER_PIXEL, MAXIMUM_PX, MORE_MEMORY, ORIENTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.decoder import Answer

FORMATS = ("PNG", "BMP", "TIFF")
"""Of JPEG, no value can be trusted."""
MAXIMUM_LABEL = 2**24 - 1
"""Three bytes are sent for each pixel, as of colours."""
_WHOLE_NUMBERS = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_BYTES = (0, 1, 2, 3) if sys.byteorder == "little" else (3, 2, 1, 0)
"""Where the bytes of a number lie in memory, the lowest first."""


def labels(request: Mapping[str, Any], limit_bytes: int) -> Answer:
    """Return the values of a label image, the lowest of three bytes first."""
    with Image.open(request["path"], formats=FORMATS) as image:
        width, height = image.size
        if width * height > min(MAXIMUM_PX, limit_bytes // BYTES_PER_PIXEL):
            return {"error": f"{width} x {height} px need {MORE_MEMORY}.", "memory": True}, ()
        reason = _refusal(image)
        if reason:
            return {"error": reason}, ()
        image.load()
        found = _values(image)
    if found is None:
        error = "it is coloured; expected grey, with a value for each cell. Export it as labels."
        return {"error": error}, ()
    whole = found.tobytes()
    if any(whole[_BYTES[3] :: 4]):
        return {"error": f"it has values below 0 or above {MAXIMUM_LABEL}."}, ()
    packed = bytearray(3 * width * height)
    for place in range(3):
        packed[place::3] = whole[_BYTES[place] :: 4]
    return {"width": width, "height": height, "shape": [height, width]}, (memoryview(packed),)


def _refusal(image: Image.Image) -> str | None:
    if getattr(image, "n_frames", 1) != 1:
        return "it holds several pictures, expected one."
    if image.mode == "F":
        return "its values are fractions, expected whole numbers."
    if image.mode.startswith("RGB") and "16" in str(getattr(image, "tile", "")):
        return "it is coloured with 16 bits a channel; expected grey."
    if image.getexif().get(ORIENTATION, 1) != 1:
        return "its orientation tag asks viewers to turn it. Save it upright, without that tag."
    return None


def _values(image: Image.Image) -> Image.Image | None:
    """Return the values as whole numbers of 32 bits; None if there are colours."""
    if image.mode in _WHOLE_NUMBERS:
        return image.convert("I")
    if image.mode == "P":  # what counts is the place in the palette, not the colour there
        return Image.frombytes("L", image.size, image.tobytes()).convert("I")
    if image.mode in {"RGB", "RGBA"}:
        red, green, blue = (image.getchannel(one).tobytes() for one in "RGB")
        if red != green or green != blue:
            return None
        return image.getchannel("R").convert("I")
    return (image.getchannel("L") if image.mode == "LA" else image.convert("L")).convert("I")
