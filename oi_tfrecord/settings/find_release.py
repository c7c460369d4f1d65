"""Finds out of which release the files of a folder are, for errors that name the configuration to use."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from oi_tfrecord.errors import InputError, NotFoundError
from oi_tfrecord.openimages.csv.files import InputFile, find, is_there, open_table
from oi_tfrecord.openimages.release_headers import RELEASES, other_releases
from oi_tfrecord.openimages.schema import CSV_TABLES, Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.selection import default_selection
from oi_tfrecord.settings.yaml_file import read_config


def needed_tables(config: ConvertConfig) -> set[Table]:
    """Returns the tables that a conversion cannot do without."""
    needed = {Table(config.driver)} | ({Table.BOXES} if _selects_by_boxes(config) else set())
    needed |= {Table.BOXES, Table.MASKS} if ExtraKeys.MASKS in config.extra_keys else set()
    return needed | ({Table.METADATA} if config.attribution_csv else set())


def _selects_by_boxes(config: ConvertConfig) -> bool:
    """Returns whether the images are those with a box, among others where the split is one to evaluate with."""
    is_default = config.selection == default_selection(config.split, config.task)
    return config.selection == "boxed" or (config.task == "detection" and is_default)


def check_release(config: ConvertConfig, file: InputFile) -> None:
    """Checks that the header of a file is not that of another release than the configured one.

    Raises:
        InputError: naming the option by which the file is read.
    """
    if with_header := other_releases(config.release, file.table, file.names, config.split):
        fitting = [name for name in find_fitting_releases(config) if name in with_header]
        problem = f"its header is that of {' or '.join(fitting or with_header)}, not of {config.release}"
        remedy = f"Give --config={fitting[0]}" if fitting else f"Give {_advise_release(config)}"
        raise InputError(file.path, problem, remedy, 1)


def _advise_release(config: ConvertConfig) -> str:
    """Returns the flag that names the release whose columns all files of a configuration have, and its effect.

    The release is `mixed` if there is no such release: a name that is no release's turns the check of headers off.
    """
    fitting = (name for name in RELEASES if _fits(dataclasses.replace(config, release=name)))
    return f"--release={next(fitting, 'mixed')}, and each file is read by the names of its columns"


@contextlib.contextmanager
def naming_the_release(config: ConvertConfig) -> Iterator[None]:
    """Adds to the error of a missing file that the files in the folder are those of another release.

    Raises:
        InputError: naming the configuration that reads the files. Other errors pass unchanged.
    """
    try:
        yield
    except NotFoundError as error:
        if config.release not in RELEASES:
            raise
        fitting, named = find_fitting_releases(config), _find_releases_by_names(config)
        if not named or config.release in named or _fits(read_config(config.release, _place(config))):
            # The user named the missing file, so another release does not help.
            raise
        if fitting:
            problem = f"{error.problem}; the files there are those of {' or '.join(fitting)}, not of {config.release}"
            raise InputError(error.path, problem, f"Give --config={fitting[0]}") from error
        problem = f"{error.problem}; the files there have the names of {' or '.join(named)}, and other columns"
        release = _advise_release(read_config(named[0], _find_given(config)))
        raise InputError(error.path, problem, f"Give --config={named[0]} {release}") from error


def find_fitting_releases(config: ConvertConfig) -> list[str]:
    """Returns the releases whose own configuration, with the options that were given, finds all its files."""
    given = _find_given(config)
    return [name for name in RELEASES if _fits(read_config(name, given))]


def _find_releases_by_names(config: ConvertConfig) -> list[str]:
    """Returns the releases whose own configuration finds all its files, whatever columns these have."""
    given = _find_given(config) | {"release": ""}
    return [name for name in RELEASES if _fits(read_config(name, given))]


def _place(config: ConvertConfig) -> dict[str, Any]:
    return {"data_dir": config.data_dir, "split": config.split, "task": config.task}


def _find_given(config: ConvertConfig) -> dict[str, Any]:
    """Returns the options that differ from those of the configured release: a flag wins over any configuration."""
    if config.release not in RELEASES:
        return _place(config)
    shipped = read_config(config.release, _place(config))
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(ConvertConfig)}
    return _place(config) | {name: value for name, value in values.items() if value != getattr(shipped, name)}


def _fits(config: ConvertConfig) -> bool:
    data_dir, split = config.data_dir, config.split
    try:
        for names in filter(None, (config.class_descriptions, config.class_list, config.hierarchy)):
            find(names, data_dir, split, "classes")
        needed = needed_tables(config)
        found = [table for table in CSV_TABLES if table in needed or is_there(getattr(config, table), data_dir, split)]
        if found == [Table.METADATA]:
            return False
        opened = [file for table in found for file in open_table(table, getattr(config, table), data_dir, split)]
    except InputError:
        return False
    return not any(other_releases(config.release, file.table, file.names, split) for file in opened)
