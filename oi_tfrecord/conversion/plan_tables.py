"""Plans the tables that a conversion reads, and checks that they have the columns that options need."""

import dataclasses
from collections.abc import Callable, Sequence

from oi_tfrecord.conversion.find_release import check_release, needed_tables
from oi_tfrecord.dataset.attribution_csv import warn_of_lacking
from oi_tfrecord.errors import ConfigError, NotFoundError
from oi_tfrecord.openimages.csv.files import InputFile, is_there, open_table
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS
from oi_tfrecord.openimages.rotation import ROTATION_COLUMN
from oi_tfrecord.openimages.schema import CSV_TABLES, FLAGS, Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.image_urls import check_url_columns


@dataclasses.dataclass(frozen=True)
class TablePlan:
    """The tables of a conversion.

    Attributes:
        files: their CSV files, in the order of the tables.
        warnings: what the records will lack, as a table or a column is not there.
    """

    files: tuple[InputFile, ...]
    warnings: tuple[str, ...]


def plan_tables(config: ConvertConfig) -> TablePlan:
    """Finds the files of the tables that a conversion reads, and checks their columns.

    Args:
        config: complete configuration.

    Raises:
        ConfigError: naming an option whose column no file has.
        InputError: naming the file that is missing or is of another release.
    """
    opened = {table: _open_table(config, table) for table in wanted_tables(config)}
    missing = [
        f"no file for {table} ({getattr(config, table)[0]}); the records are without its keys"
        for table, files in opened.items()
        if not files
    ]
    files = tuple(file for files in opened.values() for file in files)
    return TablePlan(files, (*missing, *check_columns(config, files)))


def wanted_tables(config: ConvertConfig) -> list[Table]:
    """Returns the tables that a conversion reads if their files are there."""
    unwanted = {Table.BOXES} if config.task == "classification" else set()
    for table, key in ((Table.MACHINE_LABELS, ExtraKeys.MACHINE_LABELS), (Table.MASKS, ExtraKeys.MASKS)):
        unwanted |= set() if key in config.extra_keys else {table}
    return [table for table in CSV_TABLES if getattr(config, table, ()) and table not in unwanted]


def _open_table(config: ConvertConfig, table: Table) -> Sequence[InputFile]:
    """Returns the files of a table; none if they are missing and the conversion can do without them."""
    try:
        files = open_table(table, getattr(config, table), config.data_dir, config.split)
    except NotFoundError as error:
        if table not in needed_tables(config):
            return ()
        if table == config.driver == Table.METADATA and is_there(config.boxes, config.data_dir, config.split):
            remedy = f"{error.remedy}; or give --driver=boxes, which takes the images from the boxes"
            raise NotFoundError(error.path, error.problem, remedy) from error
        raise
    for file in files:
        check_release(config, file)
    return files


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
