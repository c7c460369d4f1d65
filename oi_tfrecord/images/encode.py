"""Makes the JPEG to store from a decoded picture: scaled down, turned, flattened, encoded."""

import io
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_BAND_PIXELS = 1 << 22

_SCALABLE = frozenset(("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"))


def encode(
    picture: "Image.Image", size: tuple[int, int], degrees: int, quality: int, chroma: str
) -> tuple[bytes, int, int]:
    """Returns a picture as an RGB or grayscale JPEG without metadata.

    Args:
        picture: decoded, in any of Pillow's modes.
        size: (width, height) in pixels to scale to, before the turn.
        degrees: 0, 90, 180 or 270, counter-clockwise.
        quality: of the JPEG, 1 to 100.
        chroma: its subsampling.

    Returns:
        (JPEG, its width, its height).
    """
    from PIL import Image

    transparent = "transparency" in picture.info
    # Pixels of palettes and bits cannot be averaged. For other modes it is cheaper to scale before flattening.
    if picture.size != size and picture.mode in _SCALABLE and not transparent:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    flat = _flatten(picture)
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if degrees:
        # Pillow's angles are counter-clockwise, too.
        turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        flat = flat.transpose(turns[degrees])
    # Pillow would write a comment of the old file into the new one.
    flat.info = {}
    return _save(flat, quality, chroma), flat.width, flat.height


def _save(flat: "Image.Image", quality: int, chroma: str) -> bytes:
    buffer = io.BytesIO()
    flat.save(buffer, "JPEG", quality=quality, subsampling=chroma)
    return buffer.getvalue()


def _flatten(picture: "Image.Image") -> "Image.Image":
    """Converts any picture to 8-bit L or RGB; 16-bit samples keep their high byte, alpha is drawn on white."""
    from PIL import Image

    if picture.mode in ("L", "RGB") and not picture.has_transparency_data:
        return picture
    width, height = picture.size
    rows = max(_BAND_PIXELS // max(width, 1), 1)
    if rows >= height:
        return _flatten_band(picture)
    # A band needs the memory of several copies, the whole picture that of two.
    flat: Image.Image | None = None
    for top in range(0, height, rows):
        band = _flatten_band(picture.crop((0, top, width, min(top + rows, height))))
        flat = flat or Image.new(band.mode, picture.size)
        flat.paste(band, (0, top))
    assert flat is not None
    return flat


def _flatten_band(picture: "Image.Image") -> "Image.Image":
    from PIL import Image

    if picture.mode.startswith("I"):
        return picture.convert("I").point([value >> 8 for value in range(1 << 16)], "L")
    target = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(target)


def fit_size(width: int, height: int, max_side: int = 0, pixel_budget: int = 0) -> tuple[int, int]:
    """Returns the size to scale an image down to, its shape kept as well as whole pixels allow.

    Args:
        width: of the image in pixels, at least 1.
        height: of the image in pixels, at least 1.
        max_side: bound on the longest side in pixels; 0 for none.
        pixel_budget: bound on width times height; 0 for none.

    Returns:
        (width, height) in pixels, at least 1, within both bounds and never larger than the image;
        the image's own size if that is within them. The arithmetic is of integers, so machines agree.
    """
    if max_side and max(width, height) > max_side:
        longest = max(width, height)
        width, height = (max((2 * side * max_side + longest) // (2 * longest), 1) for side in (width, height))
    if pixel_budget and width * height > pixel_budget:
        # Each side is the floor of side * sqrt(budget / pixels).
        shorter = math.isqrt(pixel_budget * min(width, height) // max(width, height)) or 1
        longer = min(math.isqrt(pixel_budget * max(width, height) // min(width, height)), pixel_budget // shorter)
        width, height = (longer, shorter) if width >= height else (shorter, longer)
    return width, height
