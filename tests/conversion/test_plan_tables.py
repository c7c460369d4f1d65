import dataclasses

import pytest

from oi_tfrecord.conversion.plan_tables import check_filter_columns
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.settings.convert_config import ConvertConfig


def file_of(table: Table, *names: str) -> InputFile:
    return InputFile(table, 0, f"{table}.csv", 1, 0.0, ("ImageID", *names), 10, 1)


WHOLE = (file_of(Table.METADATA, "Subset"), file_of(Table.BOXES, "Source", "IsGroupOf"))
CONFIG = ConvertConfig(subset=("train",), box_sources=("xclick",), exclude_flags=("group_of",))


def test_tables_with_every_column_pass() -> None:
    assert check_filter_columns(CONFIG, WHOLE) == []


@pytest.mark.parametrize(
    ("field", "column", "files"),
    [
        ("subset", "Subset", (file_of(Table.METADATA), WHOLE[1])),
        ("subset", "Subset", (WHOLE[0], file_of(Table.METADATA), WHOLE[1])),
        ("subset", "Subset", (WHOLE[1],)),
        ("box_sources", "Source", (WHOLE[0], file_of(Table.BOXES))),
        ("box_sources", "Source", (WHOLE[0],)),
    ],
)
def test_a_choice_by_a_column_that_is_not_there_is_an_error(field: str, column: str, files: tuple) -> None:
    with pytest.raises(ConfigError, match=column) as caught:
        check_filter_columns(CONFIG, files)
    assert caught.value.field == field
    unused = dataclasses.replace(CONFIG, **{field: ()})
    assert not [line for line in check_filter_columns(unused, files) if column in line]


def test_a_flag_without_a_column_is_warned_of_once_for_each_file() -> None:
    config = dataclasses.replace(CONFIG, exclude_flags=("group_of", "inside"))
    [warning] = check_filter_columns(config, WHOLE)
    assert "boxes.csv" in warning
    assert "IsInside" in warning
