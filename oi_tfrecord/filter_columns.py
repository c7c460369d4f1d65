"""Whether the tables have the columns that the filters ask for."""

from collections.abc import Sequence

from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.filters import VALUE_FILTERS
from oi_tfrecord.inputs import InputFile
from oi_tfrecord.tables import FLAGS, Table


def check_filter_columns(config: ConvertConfig, files: Sequence[InputFile]) -> list[str]:
    """Returns a warning for each flag that has no column to be excluded by, as in V3's train split.

    Args:
      config: with the filters.
      files: the CSV files of all tables.

    Raises:
      ConfigError: if images or boxes are to be chosen by a column that is not there.
    """
    for table, (field, column) in VALUE_FILTERS.items():
        own = [file for file in files if file.table is table]
        without = [file.path for file in own if column not in file.names]
        if getattr(config, field) and (without or not own):
            raise ConfigError(field, f"there is no column {column} in {', '.join(without) or f'any file of {table}'}")
    return [
        f"{file.path} has no column {FLAGS[flag]}; --exclude_flags={flag} leaves out none of its boxes"
        for flag in config.exclude_flags
        for file in files
        if file.table is Table.BOXES and FLAGS[flag] not in file.names
    ]
