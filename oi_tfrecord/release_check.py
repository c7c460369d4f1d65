"""Whether the files of a folder are those of the configured release, and of which they are otherwise."""

import contextlib
from collections.abc import Iterator

from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.config_file import read_config
from oi_tfrecord.errors import InputError
from oi_tfrecord.inputs import InputFile, NotFoundError, find, is_there, open_table
from oi_tfrecord.record_keys import ExtraKeys
from oi_tfrecord.releases import RELEASES, other_releases
from oi_tfrecord.tables import Table


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
