"""The size of the image of a record."""

import io
from collections.abc import Mapping

from oi_tfrecord.records.example_reader import Values, get_bytes, get_integer
from oi_tfrecord.records.keys import ENCODED_KEY, HEIGHT_KEY, WIDTH_KEY


def find_image_size(example: Mapping[str, Values]) -> tuple[int, int]:
    """Returns (width, height) of the image of a record, in pixels.

    Args:
        example: a record as `parse_example` returns it. The Object Detection API's own converter
            (dataset_tools/oid_tfrecord_creation.py) writes no size; then the header of the image says the size, as
            for Model Garden's decoder.

    Returns:
        The size; zeros if no program could know the size.
    """
    width, height = get_integer(example, WIDTH_KEY), get_integer(example, HEIGHT_KEY)
    return (width, height) if width > 0 and height > 0 else _read_size(get_bytes(example, ENCODED_KEY))


def _read_size(encoded: bytes) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0
