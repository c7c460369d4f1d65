"""The ImageID of a record, from its source id or its file name."""

from collections.abc import Mapping

from oi_tfrecord.openimages.image_id import HEX_ID, is_image_name
from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import FILENAME_KEY, SOURCE_ID_KEY


def name_in(features: Mapping[str, Values]) -> bytes:
    """Returns the ImageID in the file name of a record that we wrote, `<ImageID>.jpg`; empty if it holds none."""
    values = features.get(FILENAME_KEY)
    if not isinstance(values, list) or not values or not values[0].endswith(b".jpg"):
        return b""
    name = values[0].removesuffix(b".jpg")
    return name if is_image_name(name) else b""


def image_id_of(features: Mapping[str, Values], ours: bool) -> bytes:
    """Returns the published ImageID of a record; for third-party records the source id or, without one, the file name.

    Args:
        features: a parsed Example.
        ours: whether `oi-tfrecord` wrote the record.
    """
    for key in (SOURCE_ID_KEY, FILENAME_KEY):
        values = features.get(key)
        if isinstance(values, list) and values and values[0]:
            name = values[0].removesuffix(b".jpg") if key == FILENAME_KEY else values[0]
            if not ours or HEX_ID.fullmatch(name):
                return name
    return b""
