"""The releases of Open Images, and the headers of their tables."""

import dataclasses
from collections.abc import Sequence

from oi_tfrecord.openimages.schema import COORDINATES, FLAGS, Table

Header = tuple[str, ...]

IMAGE_COLUMNS: Header = (
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title",
    "OriginalSize", "OriginalMD5", "Thumbnail300KURL",
)  # fmt: skip

LABEL_COLUMNS: Header = ("ImageID", "Source", "LabelName", "Confidence")

FLAG_COLUMNS: Header = tuple(FLAGS.values())

CLICK_COLUMNS: Header = tuple(f"XClick{number}{axis}" for axis in "XY" for number in (1, 2, 3, 4))
"""The points that annotators clicked at the four sides of an object."""

_IMAGES_V1: Header = ("ImageID", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title")

_BOXES_8: Header = (*LABEL_COLUMNS, *COORDINATES.values())

_BOXES_13: Header = (*_BOXES_8, *FLAG_COLUMNS)

_BOXES_21: Header = (*_BOXES_13, *CLICK_COLUMNS)


@dataclasses.dataclass(frozen=True)
class _Release:
    """The headers that the tables of a release may have, the commonest published one first.

    Attributes:
        metadata: headers of the metadata.
        train_boxes: headers of the boxes of the train split; none if the release has no boxes.
        other_boxes: headers of the boxes of validation and test.
    """

    metadata: tuple[Header, ...]
    train_boxes: tuple[Header, ...] = ()
    other_boxes: tuple[Header, ...] = ()


_V2_V3 = _Release((IMAGE_COLUMNS,), (_BOXES_8, _BOXES_13), (_BOXES_13, _BOXES_8))

_V4_V5 = _Release(((*IMAGE_COLUMNS, "Rotation"),), (_BOXES_13,), (_BOXES_13,))

# The metadata of 2018-04 was published without Rotation first.
_V4 = dataclasses.replace(_V4_V5, metadata=(*_V4_V5.metadata, IMAGE_COLUMNS))

# Third-party tools leave out the clicks: Datumaro and MMDetection have tables of 13 columns under the names of V6.
_V6_V7 = dataclasses.replace(_V4_V5, train_boxes=(_BOXES_21, _BOXES_13))

_RELEASES = {
    # The published V1 images.csv came in both forms (READMEV1.md).
    "v1": _Release((IMAGE_COLUMNS, _IMAGES_V1)),
    "v2": _V2_V3,
    "v3": _V2_V3,
    "v4": _V4,
    "v5": _V4_V5,
    "v6": _V6_V7,
    "v7": _V6_V7,
}

RELEASES = tuple(_RELEASES)
"""The published releases, the oldest first."""


def headers_of(release: str, table: Table, split: str) -> tuple[Header, ...]:
    """Returns the headers that a table of a release may have, the commonest published one first.

    Args:
        release: its name.
        table: the table.
        split: the split of the file.

    Returns:
        The headers; none for an unknown release, and for a table by whose header releases do not differ.
    """
    known = _RELEASES.get(release, _Release(()))
    boxes = known.train_boxes if split == "train" else known.other_boxes
    return {Table.METADATA: known.metadata, Table.BOXES: boxes}.get(table, ())


def other_releases(release: str, table: Table, names: Sequence[str], split: str) -> list[str]:
    """Returns the releases whose header a file has, if the configured release does not have it.

    Args:
        release: name of the configured release.
        table: the file's table.
        names: its header.
        split: the file's split.

    Returns:
        Names of other releases; empty if the header fits, or is of no known release (a file of the
        user's own making, which is read by its column names).
    """
    expected = headers_of(release, table, split)
    if not expected or tuple(names) in expected:
        return []
    return [other for other in RELEASES if tuple(names) in headers_of(other, table, split)]
