"""A published row of the mask table."""

import csv

import numpy as np
import pytest

from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.check_rows import RowRules, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.files import open_table, read_rows
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.openimages.schema import MASK_COORDINATES, MASK_PATH, Table
from oi_tfrecord.sources.archive_format import find_mask_image
from tests.conftest import DATA

HEADS = DATA / "real" / "v6" / "heads"
NAME = "train-annotations-object-segmentation.csv"

pytestmark = pytest.mark.skipif(not (HEADS / NAME).is_file(), reason=f"the real rows of V6 are absent ({HEADS})")


def test_the_published_row_is_read() -> None:
    with (HEADS / NAME).open(newline="") as stream:
        [expected] = csv.DictReader(stream)
    [file] = open_table(Table.MASKS, ["{split}-annotations-object-segmentation.csv"], str(HEADS), "train")
    vocabulary = Vocabulary((expected["LabelName"],))
    wanted = columns_to_parse(Table.MASKS, file.names)
    parsed = parse_rows(b"".join(read_rows(file)), file.names, wanted, quoted_line_breaks=False)
    made = make_rows(Table.MASKS, parsed, RowRules(vocabulary, np.ones(1, bool)))
    assert not made.faults
    [row] = made.rows
    assert format_id(int(row["image_id"])) == expected["ImageID"]
    assert [row[field] for field in MASK_COORDINATES] == [
        np.float32(expected[column]) for column in MASK_COORDINATES.values()
    ]
    assert made.text_columns[MASK_PATH].to_pylist() == [expected["MaskPath"].encode()]
    # The archives are searched by such names.
    assert find_mask_image(f"train-masks-6/{expected['MaskPath']}") == expected["ImageID"].encode()
