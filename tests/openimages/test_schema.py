import pickle
import random

import numpy as np
import pytest

from oi_tfrecord.openimages.schema import (
    ATTRIBUTION,
    BOX_ROW,
    COORDINATES,
    CSV_TABLES,
    FLAGS,
    LABEL_ROW,
    LABEL_TABLES,
    METADATA_ROW,
    NO_COLUMN,
    QUOTED_LINE_BREAKS,
    REQUIRED_COLUMNS,
    ROW_TYPES,
    UNKNOWN,
    RangeKey,
    Table,
)

# The column names of the published files (openimages/dataset READMEV3.md, "Data organization").
BOX_HEADER = [
    "ImageID",
    "Source",
    "LabelName",
    "Confidence",
    "XMin",
    "XMax",
    "YMin",
    "YMax",
    "IsOccluded",
    "IsTruncated",
    "IsGroupOf",
    "IsDepiction",
    "IsInside",
]
LABEL_HEADER = ["ImageID", "Source", "LabelName", "Confidence"]
METADATA_HEADER = [
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
]


def test_columns_are_those_of_the_published_files() -> None:
    assert set(REQUIRED_COLUMNS[Table.BOXES]) | set(FLAGS.values()) | {"Source", "Confidence"} == set(BOX_HEADER)
    for table in LABEL_TABLES:
        assert {*REQUIRED_COLUMNS[table], "Source"} == set(LABEL_HEADER)
    assert {*REQUIRED_COLUMNS[Table.METADATA], *ATTRIBUTION.values()} <= set(METADATA_HEADER)


def test_coordinates_keep_the_order_of_the_csv() -> None:
    order = [BOX_HEADER.index(column) for column in COORDINATES.values()]
    assert order == sorted(order)


def test_every_table_has_rows_and_required_columns() -> None:
    assert set(ROW_TYPES) == set(Table)
    assert set(REQUIRED_COLUMNS) == set(CSV_TABLES)


@pytest.mark.parametrize("row_type", [METADATA_ROW, LABEL_ROW, BOX_ROW])
def test_rows_are_packed_and_little_endian(row_type: np.dtype) -> None:
    # Rows travel between workers as they lie in memory.
    assert row_type.itemsize == sum(row_type[name].itemsize for name in row_type.names or ())
    assert row_type == row_type.newbyteorder("<")
    assert (row_type.names or ())[:2] == ("image_id", "line")


@pytest.mark.parametrize("row_type", [METADATA_ROW, LABEL_ROW, BOX_ROW])
def test_image_ids_keep_all_64_bits(row_type: np.dtype) -> None:
    row = np.zeros(1, row_type)
    row["image_id"] = np.uint64((1 << 64) - 1)
    assert int(row["image_id"][0]) == (1 << 64) - 1


def test_flags_hold_every_value_a_file_may_have_and_its_absence() -> None:
    assert len({UNKNOWN, NO_COLUMN, 0, 1}) == 4
    for name in FLAGS:
        # One below and one above stay apart from the valid ones, for the check of flags.
        info = np.iinfo(BOX_ROW[name])
        assert info.min < NO_COLUMN - 1
        assert info.max > 1


def test_only_free_text_tables_may_hold_line_breaks() -> None:
    assert {Table.METADATA} == QUOTED_LINE_BREAKS


def test_range_keys_sort_as_the_rows_of_a_table() -> None:
    keys = [RangeKey(Table.BOXES, file, index) for file in range(3) for index in (0, 2, 10)]
    shuffled = random.Random(0).sample(keys, len(keys))
    assert shuffled != keys
    assert sorted(shuffled) == keys
    assert len({*keys, *pickle.loads(pickle.dumps(keys))}) == len(keys)
