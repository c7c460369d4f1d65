"""Which tables a conversion reads, and what it does without those that are not there."""

from oi_tfrecord.attribution import warn_of_lacking
from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.errors import ConfigError, NotFoundError
from oi_tfrecord.filter_columns import check_filter_columns
from oi_tfrecord.inputs import InputFile, open_table
from oi_tfrecord.record_keys import ExtraKeys
from oi_tfrecord.release_check import check_release, needed_tables
from oi_tfrecord.rotation import ROTATION_COLUMN
from oi_tfrecord.tables import Table


def open_tables(config: ConvertConfig) -> tuple[tuple[InputFile, ...], list[str]]:
    """Finds the files of the tables that a conversion reads.

    Args:
      config: complete configuration.

    Returns:
      The files, in the order of the tables, and what the user should know: a warning for each table that is not there
      and that the conversion can do without.

    Raises:
      InputError: naming the file that is missing or is of another release.
    """
    needed = needed_tables(config)
    on_request = {Table.MACHINE_LABELS: ExtraKeys.MACHINE_LABELS, Table.MASKS: ExtraKeys.MASKS}
    files: list[InputFile] = []
    warnings = []
    for table in Table:
        names = getattr(config, table, ())
        unwanted = (table in on_request and on_request[table] not in config.extra_keys) or (
            table is Table.BOXES and config.task == "classification"
        )
        if not names or unwanted:
            continue
        try:
            opened = open_table(table, names, config.data_dir, config.split)
        except NotFoundError:
            if table in needed:
                raise
            warnings.append(f"no file for {table} ({names[0]}); the records are without its keys")
            continue
        for file in opened:
            check_release(config, file)
        files += opened
    if config.attribution_csv:
        warnings += warn_of_lacking({file.path: file.names for file in files if file.table is Table.METADATA})
    return tuple(files), warnings + check_filter_columns(config, files)


def check_rotation(config: ConvertConfig, files: tuple[InputFile, ...]) -> list[str]:
    """Checks that what is to be done with the Rotation column can be.

    Returns:
      Warnings.

    Raises:
      ConfigError: if images are to be turned and no metadata tells by how much.
    """
    known = any(file.table is Table.METADATA and ROTATION_COLUMN in file.names for file in files)
    if config.rotation == "apply" and not known:
        problem = f"apply needs the column {ROTATION_COLUMN} in the metadata, which releases have from V4 on"
        raise ConfigError("rotation", problem)
    wanted = ExtraKeys.ROTATION in config.extra_keys
    return [f"the metadata has no column {ROTATION_COLUMN}; image/rotation is empty"] if wanted and not known else []
