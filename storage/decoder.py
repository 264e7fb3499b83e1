"""The program that decodes image files in a process of its own.

A damaged or hostile file can exhaust memory or time, or crash the decoder: then it is this process
that dies. It is run as a script, imports nothing of signetflow, reads one JSON request per line,
``{"path": ...}``, and answers each with one line of JSON, followed by the pixels if all went well.
"""

from __future__ import annotations

import json
import resource
import sys

from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "BMP")
MODES = ("RGB", "RGBA", "L", "LA", "P", "1")
EXIF_ORIENTATION = 0x0112
BYTES_PER_PIXEL = 12
"""What decoding holds at its peak: the file's pixels, RGBA, RGB and the bytes that are sent."""


def refusal(image: Image.Image) -> str | None:
    """Return why an opened image cannot be read faithfully as 8-bit RGB, or None."""
    if image.mode not in MODES:
        return f"its pixels are {image.mode}, expected 8-bit RGB or grey. Convert it to RGB first."
    tiles = getattr(image, "tile", ())  # how the file packs its pixels, for example RGB;16B
    if any("16" in str(tile[3]) for tile in tiles):
        return "it has 16 bits per channel, expected 8. Convert it to 8-bit RGB first."
    if image.getexif().get(EXIF_ORIENTATION, 1) != 1:
        return (
            "its EXIF tag asks viewers to turn it, so that it is not clear which way its "
            "annotations lie. Save it upright, without that tag."
        )
    return None


def rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB; what is transparent becomes white."""
    if image.mode in {"RGBA", "LA", "P"}:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _answer(path: str, limit_bytes: int) -> tuple[dict[str, object], bytes]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height * BYTES_PER_PIXEL > limit_bytes:
                return {"error": f"{width} x {height} px need more memory than is allowed."}, b""
            reason = refusal(image)
            if reason:
                return {"error": reason}, b""
            pixels = rgb(image).tobytes()
    except UnidentifiedImageError:
        return {"error": f"it is none of {', '.join(FORMATS)}, or its beginning is damaged."}, b""
    except MemoryError:
        return {"error": "decoding it needs more memory than is allowed."}, b""
    # Pillow's plugins raise nearly anything on damaged files; the answer must always come.
    except Exception as error:  # noqa: BLE001
        return {"error": f"it is damaged ({error})."}, b""
    return {"width": width, "height": height}, pixels


def main() -> None:
    """Answer requests until there are no more; the argument is the memory limit in bytes."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # The pixels are checked against the limit above, with a reason that names it.
    Image.MAX_IMAGE_PIXELS = None
    out = sys.stdout.buffer
    for line in sys.stdin:
        header, pixels = _answer(json.loads(line)["path"], limit)
        out.write(json.dumps(header).encode() + b"\n")
        out.write(pixels)
        out.flush()


if __name__ == "__main__":
    main()
