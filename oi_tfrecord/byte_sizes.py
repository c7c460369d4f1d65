"""Sizes as a user reads them."""

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
_DIGITS = 3
_LARGEST = 999.5
"""What is rounded to 1,000 of a unit is 1 of the next."""


def format_size(size: float) -> str:
    """Returns a size with three digits and the largest unit of 1,000s that leaves it at least 1.

    Args:
      size: bytes, not negative.
    """
    if size < _LARGEST:
        return "1 byte" if round(size) == 1 else f"{size:.0f} bytes"
    unit, name = next((unit, name) for unit, name in _UNITS if size >= unit / 1e3 * _LARGEST)
    count = size / unit
    # Rounding may make a digit more before the point, of which one less is to follow it.
    decimals = next(
        decimals for decimals in (2, 1, 0) if round(count, decimals) < 10 ** (_DIGITS - decimals) or not decimals
    )
    return f"{count:,.{decimals}f} {name}"
