"""The orientation of photographs, from their headers."""

from PIL import Image, ImageOps

ORIENTATION = 0x0112
"""The EXIF tag of the orientation."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_on_its_side(image: Image.Image) -> bool:
    """Return whether the orientation in the header swaps height and width; False for a PNG without
    EXIF in its header, which would have to be decoded.
    """
    if image.format == "PNG" and "exif" not in image.info:
        return False
    return _turn_of(image) in (5, 6, 7, 8)


def _turn_of(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ORIENTATION)
    except Exception:  # what cannot be read says nothing
        return 1
    return found if isinstance(found, int) else 1


def upright(image: Image.Image) -> Image.Image:
    """A copy of an image with the orientation in its header applied."""
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, Image.DecompressionBombError):
        raise
    except Exception:  # of the rest of the header, which Pillow writes anew: it changes no pixel
        turn = _TURNS.get(_turn_of(image))
        turned = image.copy() if turn is None else image.transpose(turn)
        turned.info.pop("exif", None)
        return turned
