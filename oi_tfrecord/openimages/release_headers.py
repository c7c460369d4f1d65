"""The headers of each release's files, to tell one release from another."""

from collections.abc import Mapping, Sequence

from oi_tfrecord.openimages.schema import FLAGS, Table

_IMAGES_V1 = ("ImageID", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title")

_IMAGES = (
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title",
    "OriginalSize", "OriginalMD5", "Thumbnail300KURL",
)  # fmt: skip

_BOXES_8 = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")

_BOXES_13 = (*_BOXES_8, *FLAGS.values())

_BOXES_21 = (*_BOXES_13, *(f"XClick{number}{axis}" for axis in "XY" for number in (1, 2, 3, 4)))

_IMAGES_ROTATED = (*_IMAGES, "Rotation")

_Headers = Mapping[Table, frozenset[tuple[str, ...]]]

# The published V1 images.csv came in both forms (READMEV1.md).
_V1: _Headers = {Table.METADATA: frozenset({_IMAGES_V1, _IMAGES})}

_V2_V3: _Headers = {Table.METADATA: frozenset({_IMAGES}), Table.BOXES: frozenset({_BOXES_8, _BOXES_13})}

_V4_V5: _Headers = {Table.METADATA: frozenset({_IMAGES_ROTATED}), Table.BOXES: frozenset({_BOXES_13})}

_RELEASES = {"v1": _V1, "v2": _V2_V3, "v3": _V2_V3, "v4": _V4_V5, "v5": _V4_V5, "v6": _V4_V5, "v7": _V4_V5}

# Since V6 the boxes of the train split have the points that were clicked; those of the others are V5's.
_V6_V7_TRAIN: _Headers = {**_V4_V5, Table.BOXES: frozenset({_BOXES_21})}

_TRAIN = _RELEASES | {"v6": _V6_V7_TRAIN, "v7": _V6_V7_TRAIN}

RELEASES = tuple(_RELEASES)


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
    releases = _TRAIN if split == "train" else _RELEASES
    headers = releases.get(release, {}).get(table)
    if headers is None or tuple(names) in headers:
        return []
    return [name for name, tables in releases.items() if tuple(names) in tables.get(table, ())]
