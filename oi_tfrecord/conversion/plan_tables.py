"""Which tables a conversion reads, and what it does without those that are not there."""

import contextlib
from collections.abc import Iterator, Sequence

from oi_tfrecord.dataset.attribution_csv import warn_of_lacking
from oi_tfrecord.errors import ConfigError, InputError, NotFoundError
from oi_tfrecord.openimages.csv.files import InputFile, find, is_there, open_table
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS
from oi_tfrecord.openimages.release_headers import RELEASES, other_releases
from oi_tfrecord.openimages.rotation import ROTATION_COLUMN
from oi_tfrecord.openimages.schema import FLAGS, Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.yaml_file import read_config


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


def needed_tables(config: ConvertConfig) -> set[Table]:
    """Returns the tables that a conversion cannot do without."""
    needed = {Table(config.driver)} | ({Table.BOXES} if config.select == "boxed" else set())
    needed |= {Table.BOXES, Table.MASKS} if ExtraKeys.MASKS in config.extra_keys else set()
    return needed | ({Table.METADATA} if config.attribution_csv else set())


def check_release(config: ConvertConfig, file: InputFile) -> None:
    """Checks that the header of a file is not that of another release than the configured one.

    Raises:
        InputError: naming the configuration that reads the file.
    """
    if others := other_releases(config.release, file.table, file.names, config.split):
        named = [name for name in fitting_releases(config) if name in others] or others
        problem = f"its header is that of {' or '.join(named)}, not of {config.release}"
        raise InputError(file.path, problem, f"Give --config={named[0]}", 1)


@contextlib.contextmanager
def naming_the_release(config: ConvertConfig) -> Iterator[None]:
    """Has the error of a missing file say so where the files that are there are those of another release."""
    try:
        yield
    except NotFoundError as error:
        others = [name for name in fitting_releases(config) if name != config.release]
        if config.release not in RELEASES or not others:
            raise
        problem = f"{error.problem}; the files there are those of {' or '.join(others)}, not of {config.release}"
        raise InputError(error.path, problem, f"Give --config={others[0]}") from error


def fitting_releases(config: ConvertConfig) -> list[str]:
    """Returns the releases whose own configuration finds all its files, with its headers, in `data_dir`."""
    given = {"data_dir": config.data_dir, "split": config.split, "task": config.task}
    return [name for name in RELEASES if _fits(read_config(name, given))]


def _fits(config: ConvertConfig) -> bool:
    data_dir, split = config.data_dir, config.split
    try:
        for names in filter(None, (config.class_descriptions, config.class_list)):
            find(names, data_dir, split, "classes")
        needed = needed_tables(config)
        found = [table for table in Table if table in needed or is_there(getattr(config, table), data_dir, split)]
        if found == [Table.METADATA]:
            return False
        opened = [file for table in found for file in open_table(table, getattr(config, table), data_dir, split)]
    except InputError:
        return False
    return not any(other_releases(config.release, file.table, file.names, split) for file in opened)
