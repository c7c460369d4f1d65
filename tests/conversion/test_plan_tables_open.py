import dataclasses
import pathlib
import shutil

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.plan_tables import check_rotation, open_tables
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import ConvertConfig
from tests.support import small_release
from tests.support.small_release import Release


@pytest.fixture
def own(tmp_path: pathlib.Path) -> Release:
    return small_release.write_release(tmp_path / "data", images=12)


def config_of(release: Release, **flags: object) -> ConvertConfig:
    return parse_convert(release.flags("/out", **flags)).config


def test_machine_labels_are_read_only_for_their_keys(own: Release) -> None:
    machine = own.folder / "train" / "annotations-machine.csv"
    shutil.copy(own.folder / "train" / "annotations-human.csv", machine)
    assert Table.MACHINE_LABELS not in {file.table for file in open_tables(config_of(own))[0]}
    files, _ = open_tables(config_of(own, extra_keys=str(ExtraKeys.MACHINE_LABELS)))
    assert [file.path for file in files if file.table is Table.MACHINE_LABELS] == [str(machine)]


def test_boxes_are_not_read_for_classification(own: Release) -> None:
    config = dataclasses.replace(config_of(own), task="classification", driver="metadata")
    assert {file.table for file in open_tables(config)[0]} == {Table.METADATA, Table.HUMAN_LABELS}


def test_a_missing_optional_table_is_a_warning_and_a_needed_one_an_error(own: Release) -> None:
    assert open_tables(config_of(own))[1] == []
    (own.folder / "train" / "annotations-human.csv").unlink()
    files, [warning] = open_tables(config_of(own))
    assert "human_labels" in warning
    assert Table.HUMAN_LABELS not in {file.table for file in files}
    (own.folder / "train" / "annotations-human-bbox.csv").unlink()
    with pytest.raises(InputError, match="boxes"):
        open_tables(config_of(own, select="boxed"))
    (own.folder / "train" / "images.csv").unlink()
    with pytest.raises(InputError, match="metadata"):
        open_tables(config_of(own))


def test_the_rotation_column_is_needed_to_turn_images_and_missed_where_its_key_is_wanted(own: Release) -> None:
    files, _ = open_tables(config_of(own))
    assert check_rotation(config_of(own), files) == []
    wanted = config_of(own, extra_keys=str(ExtraKeys.ROTATION))
    [warning] = check_rotation(wanted, files)
    assert "Rotation" in warning
    turned = dataclasses.replace(config_of(own), rotation="apply")
    with pytest.raises(ConfigError, match="Rotation") as raised:
        check_rotation(turned, files)
    assert raised.value.field == "rotation"
    with_column = tuple(dataclasses.replace(file, names=(*file.names, "Rotation")) for file in files)
    assert check_rotation(turned, with_column) == check_rotation(wanted, with_column) == []
