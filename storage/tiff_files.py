"""What kind of TIFF a file is: a slide in levels, or one picture to be read whole."""

from __future__ import annotations

import logging

import tifffile
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG

from models.errors import ImageError, SlideError
from models.geometry.tiles import SAME_SCALE, plausible_mpp
from storage.decoder import ASKS_TO_BE_TURNED, MAXIMUM_PX, ORIENTATION, TURNED

SCANNERS = ("svs", "ndpi", "scn", "bif", "philips")
REMEDY = "Convert it to an 8-bit RGB pyramid, for example with vips."
ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
_YCBCR_CODECS = (
    COMPRESSION.OJPEG,
    COMPRESSION.JPEG,
    COMPRESSION.ALT_JPEG,
    COMPRESSION.JPEG_LOSSY,
    COMPRESSION.APERIO_JP2000_YCBC,
)
"""Those that turn YCbCr into RGB while they decode; others hand it over as it is."""
_MICROMETRES = {2: 25400.0, 3: 10000.0}
"""Of the units of a TIFF's resolution: inch and centimetre."""

# What tifffile notices and we need to know comes back as an error; the rest is noise.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def is_flat(file: tifffile.TiffFile) -> bool:
    """Return whether a TIFF is one picture of no scanner, without levels, to be read whole."""
    if any(getattr(file, f"is_{scanner}") for scanner in SCANNERS):
        return False
    page = file.pages.first
    return len(file.series[0].levels) == 1 and page.imagewidth * page.imagelength <= MAXIMUM_PX


def require_flat(file: tifffile.TiffFile) -> None:
    """Refuse a flat TIFF that cannot be read faithfully as 8-bit RGB.

    Raises
    ------
    ImageError
        If it holds several pictures, other than 8 bits, planes of unknown meaning or is turned.
    """
    first = file.pages.first
    size = first.imagewidth, first.imagelength
    if 0 in size:
        raise ImageError(f"it has {size[0]} x {size[1]} px.")
    others = [page.aspage() for page in file.pages[1:]]
    if any((page.imagewidth, page.imagelength) >= size for page in others if not page.is_reduced):
        raise ImageError(
            f"it holds {len(file.pages)} pictures, expected one. Save each of them as a file."
        )
    _require_upright(first)
    if first.bitspersample > 8 or first.sampleformat != tifffile.SAMPLEFORMAT.UINT:
        raise ImageError(f"its pixels are {_type_of(first)}, expected 8-bit RGB or grey. {REMEDY}")
    if any(extra not in ALPHA for extra in first.extrasamples):
        raise ImageError(
            f"its pixels have {first.samplesperpixel} channels, of which it does not say what they "
            f"mean. {REMEDY}"
        )


def require_slide_page(page: tifffile.TiffPage) -> None:
    """Refuse a page that tifffile would decode with wrong colours.

    Raises
    ------
    SlideError
        If it is not 8-bit RGB in one plane, with or without alpha, upright.
    """
    if page.planarconfig != PLANARCONFIG.CONTIG:
        raise SlideError(f"colours are stored in separate planes. {REMEDY}")
    if page.bitspersample != 8 or str(page.dtype) != "uint8":
        raise SlideError(f"pixels are {_type_of(page)}, expected uint8. {REMEDY}")
    _require_upright(page)
    plain = page.samplesperpixel == 3
    with_alpha = page.samplesperpixel == 4 and page.extrasamples[:1] in [(one,) for one in ALPHA]
    named = getattr(page.photometric, "name", page.photometric)
    if page.photometric == PHOTOMETRIC.YCBCR:
        if plain and page.compression in _YCBCR_CODECS:
            return
    elif page.photometric == PHOTOMETRIC.RGB and (plain or with_alpha):
        return
    raise SlideError(
        f"pixels are {named} with {page.samplesperpixel} channels, compressed as "
        f"{getattr(page.compression, 'name', page.compression)}, expected RGB, or YCBCR as JPEG. "
        f"{REMEDY}"
    )


def _require_upright(page: tifffile.TiffPage) -> None:
    if page.tags.valueof(ORIENTATION, 1) in ASKS_TO_BE_TURNED:
        raise SlideError(TURNED)


def _type_of(page: tifffile.TiffPage) -> str:
    return str(page.dtype or f"{page.bitspersample} bits of unknown form")


def mpp_of_tags(across: float | None, down: float | None, unit: float | None) -> float | None:
    """Return micrometres per pixel from a TIFF's resolution, None if that is none of a microscope.

    Programs that know nothing write 72 dpi, which is 352.8.

    Parameters
    ----------
    across, down : float or None
        Pixels per unit.
    unit : int or None
        2 is an inch, 3 a centimetre.
    """
    if not across or not down or unit not in _MICROMETRES:
        return None
    mpp = [_MICROMETRES[int(unit)] / float(value) for value in (across, down)]
    if not all(map(plausible_mpp, mpp)) or abs(mpp[0] / mpp[1] - 1) > SAME_SCALE:
        return None
    return sum(mpp) / 2
