"""The tables of Open Images: their columns, and the fixed-width rows the join works on."""

import dataclasses
import enum
from typing import Literal, get_args

import numpy as np

NO_COLUMN = -2
"""Value of a flag in a row of a file that has no column for the flag."""

UNKNOWN = -1
"""Value of a flag that the annotator could not decide."""


class Table(enum.StrEnum):
    """The tables that are joined: those of CSV files of a release, and the listings of archives.

    Their order is that of rejected rows in the list of rejects.
    """

    METADATA = "metadata"
    BOXES = "boxes"
    HUMAN_LABELS = "human_labels"
    MACHINE_LABELS = "machine_labels"
    MASKS = "masks"
    IMAGE_FILES = "image_files"
    MASK_FILES = "mask_files"

    @property
    def is_listing(self) -> bool:
        """Whether the rows are the files of archives, and not read from CSV files."""
        return self in LISTINGS


Listing = Literal[Table.IMAGE_FILES, Table.MASK_FILES]
"""A table whose rows are the files of archives."""

LISTINGS: tuple[Listing, ...] = get_args(Listing)

CSV_TABLES = tuple(table for table in Table if table not in LISTINGS)


LABEL_TABLES = (Table.HUMAN_LABELS, Table.MACHINE_LABELS)

MACHINE_SOURCE = "machine"

HUMAN_SOURCES = ("verification", "crowdsource-verification", "human")
"""Values of Source of image-level labels; an unknown one is kept, and counted."""

COORDINATES = {"xmin": "XMin", "xmax": "XMax", "ymin": "YMin", "ymax": "YMax"}
"""Field of a box row to its column; the CSV order is XMin, XMax, YMin, YMax."""

MASK_COORDINATES = {"xmin": "BoxXMin", "xmax": "BoxXMax", "ymin": "BoxYMin", "ymax": "BoxYMax"}
"""Field of a mask row to its column: the box that the mask is of."""

MASK_PATH = "MaskPath"
"""Text kept beside a mask row: the name of its PNG."""

BOX_ID = "BoxID"
"""Text kept beside a mask row if it is asked for: the published name of the box."""

PREDICTED_IOU = "PredictedIoU"
"""Column of a mask row, read if it is asked for: empty for masks that people drew."""

UNKNOWN_IOU = -1.0
"""Value of `predicted_iou` in a mask row of a file without the column, or with an empty field."""

FLAGS = {
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
}
"""Field of a box row to its column: 0, 1, -1 unknown, or NO_COLUMN where the file has none."""

ATTRIBUTES = {
    "gender_presentation": ("GenderPresentation", ("Unknown", "Predominantly Feminine", "Predominantly Masculine")),
    "age_presentation": ("AgePresentation", ("Unknown", "Young", "Middle", "Older")),
}
"""Field of a box row to its column and the values of the column; the field holds the place of the value. Source: the
boxes of Open Images Extended, MIAP (https://arxiv.org/abs/2105.02317)."""

BAD_ATTRIBUTE = 255
"""Value of an attribute in a row whose column holds none of the known values."""

COLUMN_ALIASES = {"IsDepictionOf": FLAGS["depiction"], "IsInsideOf": FLAGS["inside"]}
"""Names that the boxes of MIAP have for columns of V4 and later."""

ATTRIBUTION = {
    "license": "License",
    "author": "Author",
    "profile_url": "AuthorProfileURL",
    "title": "Title",
    "landing_url": "OriginalLandingURL",
}
"""Text kept for attribution (CC BY), by its column in the metadata table."""

_ROW = [("image_id", "<u8"), ("line", "<u4")]

_LABEL = [("label", "<u2"), ("source", "u1"), ("confidence", "<f4")]

METADATA_ROW = np.dtype([*_ROW, ("excluded", "u1")])

LABEL_ROW = np.dtype(_ROW + _LABEL)

BOX_ROW = np.dtype(
    _ROW
    + _LABEL
    + [(name, "<f4") for name in COORDINATES]
    + [(name, "i1") for name in FLAGS]
    + [(name, "u1") for name in ATTRIBUTES]
)

MASK_ROW = np.dtype([*_ROW, ("label", "<u2"), *((name, "<f4") for name in MASK_COORDINATES), ("predicted_iou", "<f4")])

IMAGE_FILE_ROW = np.dtype(
    [
        *_ROW,
        ("offset", "<u8"),
        ("stored", "<u4"),
        ("size", "<u4"),
        ("crc32", "<u4"),
        ("storing", "u1"),
    ]
)
"""dtype of the place of an image or a mask in an archive; the archive is the file of the row. `stored` bytes from
`offset` hold the `size` bytes of the image in the way that `storing` says (archive_format.Storing)."""

ROW_TYPES = {
    Table.METADATA: METADATA_ROW,
    Table.BOXES: BOX_ROW,
    Table.HUMAN_LABELS: LABEL_ROW,
    Table.MACHINE_LABELS: LABEL_ROW,
    Table.MASKS: MASK_ROW,
    Table.IMAGE_FILES: IMAGE_FILE_ROW,
    Table.MASK_FILES: IMAGE_FILE_ROW,
}
"""dtype of a table's rows. `line` counts from 0 within the row's range; `label` is a vocabulary code;
`source` indexes the batch's source names; coordinates are normalised to [0, 1]; `excluded` is 1 for an
image that is left out but known, so that its annotations are left out too and are no orphans."""

FILE_NAME = "file_name"
"""Text beside the row of a mask in an archive: its name without folders."""

REQUIRED_COLUMNS = {
    Table.METADATA: ("ImageID",),
    Table.BOXES: ("ImageID", "LabelName", *COORDINATES.values()),
    Table.HUMAN_LABELS: ("ImageID", "LabelName", "Confidence"),
    Table.MACHINE_LABELS: ("ImageID", "LabelName", "Confidence"),
    Table.MASKS: (MASK_PATH, "ImageID", "LabelName", *MASK_COORDINATES.values()),
}

QUOTED_LINE_BREAKS = {Table.METADATA}
"""Tables with free text, in which a quoted field may hold a line break."""


@dataclasses.dataclass(frozen=True, order=True)
class RangeKey:
    """Names one range of one CSV file; the order of keys is the order of the rows."""

    table: Table
    file: int
    index: int
