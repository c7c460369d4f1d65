"""The size of an image that is scaled down."""

import math


def fit_size(width: int, height: int, max_side: int = 0, pixel_budget: int = 0) -> tuple[int, int]:
    """Returns the size to scale an image down to, its shape kept as well as whole pixels allow.

    Args:
      width, height: of the image in pixels, at least 1.
      max_side: bound on the longest side in pixels; 0 is none.
      pixel_budget: bound on width times height; 0 is none.

    Returns:
      (width, height) in pixels, at least 1, within both bounds and never larger than the image;
      the image's own size when that is within them. Integers only, so the same on every machine.
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
