import dataclasses
import shutil

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan_inputs import check_columns, plan_tables
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import ConvertConfig
from tests.support.small_release import Release


def config_of(release: Release, **flags: object) -> ConvertConfig:
    return parse_convert(release.flags("/out", **flags)).config


def test_machine_labels_are_read_only_for_their_keys(own: Release) -> None:
    machine = own.folder / "train" / "annotations-machine.csv"
    shutil.copy(own.folder / "train" / "annotations-human.csv", machine)
    assert Table.MACHINE_LABELS not in {file.table for file in plan_tables(config_of(own)).files}
    files = plan_tables(config_of(own, extra_keys=str(ExtraKeys.MACHINE_LABELS))).files
    assert [file.path for file in files if file.table is Table.MACHINE_LABELS] == [str(machine)]


def test_boxes_are_not_read_for_classification(own: Release) -> None:
    config = dataclasses.replace(config_of(own), task="classification", driver="metadata")
    assert {file.table for file in plan_tables(config).files} == {Table.METADATA, Table.HUMAN_LABELS}


def test_a_missing_optional_table_is_a_warning_and_a_needed_one_an_error(own: Release) -> None:
    assert plan_tables(config_of(own)).warnings == ()
    (own.folder / "train" / "annotations-human.csv").unlink()
    tables = plan_tables(config_of(own))
    [warning] = tables.warnings
    assert "human_labels" in warning
    assert Table.HUMAN_LABELS not in {file.table for file in tables.files}
    (own.folder / "train" / "annotations-human-bbox.csv").unlink()
    with pytest.raises(InputError, match="boxes"):
        plan_tables(config_of(own, select="boxed"))
    (own.folder / "train" / "images.csv").unlink()
    with pytest.raises(InputError, match="metadata"):
        plan_tables(config_of(own))


def file_of(table: Table, *names: str) -> InputFile:
    return InputFile(table, 0, f"{table}.csv", 1, 0.0, ("ImageID", *names), 10, 1)


WHOLE = (file_of(Table.METADATA, "Subset"), file_of(Table.BOXES, "Source", "IsGroupOf"))
CONFIG = ConvertConfig(subset=("train",), box_sources=("xclick",), exclude_flags=("group_of",))


def test_tables_with_every_column_pass() -> None:
    assert check_columns(CONFIG, WHOLE) == []


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
def test_a_choice_by_a_column_that_is_not_there_is_an_error(
    field: str, column: str, files: tuple[InputFile, ...]
) -> None:
    with pytest.raises(ConfigError, match=column) as caught:
        check_columns(CONFIG, files)
    assert caught.value.field == field
    unused = dataclasses.replace(CONFIG, **{field: ()})
    assert not [line for line in check_columns(unused, files) if column in line]


def test_a_flag_without_a_column_is_warned_of_once_for_each_file() -> None:
    config = dataclasses.replace(CONFIG, exclude_flags=("group_of", "inside"))
    [warning] = check_columns(config, WHOLE)
    assert "boxes.csv" in warning
    assert "IsInside" in warning


def test_the_rotation_column_is_needed_to_turn_images_and_missed_where_its_key_is_wanted() -> None:
    config = ConvertConfig()
    assert check_columns(config, WHOLE) == []
    wanted = ConvertConfig(extra_keys=(str(ExtraKeys.ROTATION),))
    [warning] = check_columns(wanted, WHOLE)
    assert "Rotation" in warning
    turned = ConvertConfig(rotation="apply")
    with pytest.raises(ConfigError, match="Rotation") as raised:
        check_columns(turned, WHOLE)
    assert raised.value.field == "rotation"
    with_column = (file_of(Table.METADATA, "Subset", "Rotation"), WHOLE[1])
    assert check_columns(turned, with_column) == check_columns(wanted, with_column) == []


@pytest.mark.parametrize("given", [{"image_urls": "original"}, {"url_folders": "images"}])
def test_images_of_urls_need_their_columns(given: dict[str, str]) -> None:
    with pytest.raises(InputError, match="OriginalURL"):
        check_columns(ConvertConfig(**given), WHOLE)


def test_a_list_of_attributions_without_a_column_is_warned_of() -> None:
    assert [line for line in check_columns(ConvertConfig(attribution_csv=True), WHOLE) if "Author" in line]
    assert check_columns(ConvertConfig(), WHOLE) == []
