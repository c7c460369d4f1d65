"""Checks that tables have the columns that options need, and warns of columns without which records lack values."""

from collections.abc import Callable, Sequence

from oi_tfrecord.dataset.attribution_csv import warn_of_lacking
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS
from oi_tfrecord.openimages.csv.header import find_near_column
from oi_tfrecord.openimages.rotation import ROTATION_COLUMN
from oi_tfrecord.openimages.schema import (
    ATTRIBUTES,
    ATTRIBUTION,
    BOX_ID,
    FLAGS,
    PREDICTED_IOU,
    REQUIRED_COLUMNS,
    Table,
)
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.allowed_values import BoxesWithoutMask
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.image_urls import check_url_columns

Check = Callable[[ConvertConfig, Sequence[InputFile]], list[str]]
"""Returns warnings, or raises ConfigError."""


def check_attribution_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Warns of columns that the list of attributions lacks."""
    if not config.attribution_csv:
        return []
    return warn_of_lacking({file.path: file.names for file in files if file.table is Table.METADATA})


def check_filter_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Images or boxes cannot be chosen by values of a column that is not there."""
    for table, (field, column) in VALUE_FILTERS.items():
        own = [file for file in files if file.table is table]
        without = [file.path for file in own if column not in file.names]
        if getattr(config, field) and (without or not own):
            raise ConfigError(field, f"there is no column {column} in {', '.join(without) or f'any file of {table}'}")
    return []


def check_flag_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Warns of flags by which no box can be left out, as in V3's train split."""
    return [
        f"{file.path} has no column {FLAGS[flag]}; --exclude_flags={flag} leaves out none of its boxes"
        for flag in config.exclude_flags
        for file in files
        if file.table is Table.BOXES and FLAGS[flag] not in file.names
    ]


KNOWN_COLUMNS: dict[Table, tuple[str, ...]] = {
    Table.METADATA: (VALUE_FILTERS[Table.METADATA][1], ROTATION_COLUMN),
    Table.BOXES: ("Source", "Confidence", *FLAGS.values(), *(column for column, _ in ATTRIBUTES.values())),
    Table.HUMAN_LABELS: ("Source",),
    Table.MACHINE_LABELS: ("Source",),
    Table.MASKS: (BOX_ID, PREDICTED_IOU),
}
"""Columns that are used where a file has them; the records lack their values where it does not."""


def check_near_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """A column whose name is misspelt must not be dropped without a word.

    Raises:
        InputError: naming the file and the column.
    """
    for file in files:
        if near := find_near_column(file.names, (*REQUIRED_COLUMNS[file.table], *KNOWN_COLUMNS[file.table])):
            name, known = near
            problem = f"the column '{name}' is not read, though its name is nearly that of the column '{known}'"
            raise InputError(file.path, problem, f"Rename it to {known}, or to another name to leave it out", 1)
    return []


_COLUMNS_OF_KEYS: dict[ExtraKeys, tuple[Table, tuple[str, ...]]] = {
    ExtraKeys.BOX_SOURCE: (Table.BOXES, ("Source",)),
    ExtraKeys.BOX_CONFIDENCE: (Table.BOXES, ("Confidence",)),
    ExtraKeys.INSIDE: (Table.BOXES, (FLAGS["inside"],)),
    ExtraKeys.ATTRIBUTES: (Table.BOXES, tuple(column for column, _ in ATTRIBUTES.values())),
    ExtraKeys.LABEL_SOURCE: (Table.HUMAN_LABELS, ("Source",)),
    ExtraKeys.ATTRIBUTION: (Table.METADATA, tuple(ATTRIBUTION.values())),
    ExtraKeys.BOX_ID: (Table.MASKS, (BOX_ID,)),
    ExtraKeys.PREDICTED_IOU: (Table.MASKS, (PREDICTED_IOU,)),
}


def check_columns_of_keys(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Warns of columns that the groups of extra keys need and a file lacks."""
    wanted = [(f"--extra_keys={key}", *of_key) for key, of_key in _COLUMNS_OF_KEYS.items() if key in config.extra_keys]
    if config.boxes_without_mask == BoxesWithoutMask.GROUPS:
        wanted.append((f"--boxes_without_mask={BoxesWithoutMask.GROUPS}", Table.BOXES, (FLAGS["group_of"],)))
    return [
        f"{file.path} has no column {', '.join(missing)}, which {option} needs"
        for option, table, columns in wanted
        for file in files
        if file.table is table and (missing := [column for column in columns if column not in file.names])
    ]


def check_mask_filter_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Masks cannot be chosen by a column that is not there."""
    for field, column in (("box_ids", BOX_ID), ("min_predicted_iou", PREDICTED_IOU)):
        without = [file.path for file in files if file.table is Table.MASKS and column not in file.names]
        if getattr(config, field) and without:
            raise ConfigError(field, f"there is no column {column} in {', '.join(without)}")
    return []


def check_rotation_column(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Images cannot be turned if no metadata says by how much; an empty key of the rotation is warned of."""
    if any(file.table is Table.METADATA and ROTATION_COLUMN in file.names for file in files):
        return []
    if config.rotation == "apply":
        problem = f"apply needs the column {ROTATION_COLUMN} in the metadata, which releases have from V4 on"
        raise ConfigError("rotation", problem)
    is_wanted = ExtraKeys.ROTATION in config.extra_keys
    return [f"the metadata has no column {ROTATION_COLUMN}; image/rotation is empty"] if is_wanted else []


def check_columns_of_urls(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Images cannot be found by URLs that the metadata lacks."""
    if config.image_urls or config.url_folders:
        check_url_columns([file for file in files if file.table is Table.METADATA])
    return []


CHECKS: tuple[Check, ...] = (
    check_attribution_columns,
    check_filter_columns,
    check_flag_columns,
    check_mask_filter_columns,
    check_near_columns,
    check_columns_of_keys,
    check_rotation_column,
    check_columns_of_urls,
)
"""All checks, in the order in which their warnings are listed."""


def check_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Returns the warnings of all CHECKS.

    Raises:
        ConfigError, InputError: naming the option or file that the first of them refuses.
    """
    return [warning for check in CHECKS for warning in check(config, files)]
