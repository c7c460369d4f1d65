"""Downloads the tables and class files that a conversion needs and that are not there."""

import dataclasses
import os
import posixpath
import re
import time
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.conversion.planning.plan_inputs import wanted_tables
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.errors import ConfigError, InputError, NotFoundError
from oi_tfrecord.openimages.csv.files import SPLITS, expand_split, find, split_hint
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.settings.convert_config import MASK_SOURCES, ConvertConfig
from oi_tfrecord.settings.find_release import needed_tables
from oi_tfrecord.settings.published_files import PublishedFile, parse_published_files
from oi_tfrecord.settings.yaml_file import find_shipped_file
from oi_tfrecord.sources.fetch_files import FetchResult, fetch_files, user_cache
from oi_tfrecord.sources.transfer import TransferSettings
from oi_tfrecord.storage.paths import FileInfo
from oi_tfrecord.storage.retry import RetryPolicy

CLASS_FIELDS = ("class_descriptions", "class_list", "hierarchy")


@dataclasses.dataclass(frozen=True)
class FetchPlan:
    """What is downloaded.

    Attributes:
        missing: the files to download.
        kept: paths of files that are there.
        notes: tables that are left out.
        mask_archives: patterns of the archives of masks that are among the files.
    """

    missing: tuple[PublishedFile, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]
    mask_archives: tuple[str, ...] = ()


def with_data_dir(config: ConvertConfig) -> ConvertConfig:
    """Returns the configuration with a folder for the tables: one in the user's cache, if none is given."""
    folder = config.data_dir or os.path.join(user_cache(), config.release or "tables")
    return dataclasses.replace(config, data_dir=folder)


def with_mask_archives(config: ConvertConfig) -> ConvertConfig:
    """Returns the configuration with the archives of masks that a fetch downloads, if it wants masks from no source.

    Args:
        config: the configuration, with `data_dir`.
    """
    if not _wants_mask_archives(config):
        return config
    archives = [file for file in read_published_files(config) if file.is_mask_archive]
    return dataclasses.replace(config, mask_archives=_patterns_of(archives, config.data_dir))


def _wants_mask_archives(config: ConvertConfig) -> bool:
    return ExtraKeys.MASKS in config.extra_keys and not any(getattr(config, field) for field in MASK_SOURCES)


def _patterns_of(archives: Sequence[PublishedFile], data_dir: str) -> tuple[str, ...]:
    """Returns the patterns of archives, whose names end in a hex digit."""
    names = (re.sub(r"[0-9a-f](\.\w+)$", r"?\1", name) for file in archives for name in file.files)
    return tuple(storage.join(storage.escape(data_dir), name) for name in dict.fromkeys(names))


def fetch(config: ConvertConfig, *, progress: Progress | None = None) -> FetchResult:
    """Downloads the tables and class files that a conversion with this configuration needs; files that are there stay.

    Args:
        config: a configuration with a release and a split.
        progress: takes how much there is to download, and how far the download is.

    Returns:
        What was done; `data_dir` is the folder of the files.

    Raises:
        ConfigError: naming the option to correct.
        InputError: if no address of a needed file is known, its server has another file, or a file that is there is
            not the published one.
        StorageError: if a transfer breaks too often.
    """
    began = time.monotonic()
    for field in ("split", "class_descriptions"):
        if not getattr(config, field):
            raise ConfigError(field, f"is needed; give --{field}")
    if config.split not in SPLITS:
        raise ConfigError("split", f"{config.split!r} is none of {', '.join(SPLITS)}{split_hint(config.split)}")
    config = with_data_dir(config)
    plan = plan_fetch(config, read_published_files(config))
    settings = TransferSettings(retry=RetryPolicy(attempts=config.fetch_attempts))
    counts = fetch_files(plan.missing, config.data_dir, settings, progress or NoProgress())
    return FetchResult(
        data_dir=config.data_dir,
        files=plan.missing,
        kept=plan.kept,
        received=counts.received,
        retries=counts.retries,
        notes=plan.notes,
        mask_archives=plan.mask_archives,
        seconds=time.monotonic() - began,
    )


def read_published_files(config: ConvertConfig) -> list[PublishedFile]:
    """Returns the published files of the release and split, at the mirror if one is given.

    Raises:
        ConfigError: if there is no such table of addresses, or the table has no file of the release.
    """
    path = config.downloads or str(find_shipped_file("downloads.csv"))
    if not storage.exists(path):
        raise ConfigError("downloads", f"there is no file {path}")
    files = parse_published_files(storage.read(path), path, config.release, config.split)
    if not files:
        problem = f"no address of a file of {config.release or 'no release'} is known for split {config.split!r}"
        raise ConfigError("fetch", f"{problem}; give --config=v7 or the like, or --downloads")
    return [file.at_mirror(config.mirror) if config.mirror else file for file in files]


def plan_fetch(config: ConvertConfig, published: Sequence[PublishedFile]) -> FetchPlan:
    """Decides what is downloaded.

    Args:
        config: the configuration, with `data_dir`.
        published: files of its release and split.

    Raises:
        InputError: if no address of a needed file is known, or a file that is there is not the published one.
    """
    needed = {str(table) for table in needed_tables(config)} | set(CLASS_FIELDS)
    fields = [*map(str, wanted_tables(config)), *CLASS_FIELDS]
    missing: dict[str, PublishedFile] = {}
    kept: list[str] = []
    notes: list[str] = []
    for field in fields:
        if not (names := getattr(config, field)):
            continue
        files = _files_with_first_name(names, published, config.split)
        found = _find(names, config, field)
        _check_sizes(found, files)
        own = [file for file in files if not _are_there(file, config)]
        # V1 has labels in two archives, whose files have one name.
        places = {storage.join(config.data_dir, name) for file in files for name in file.files}
        if found and not (own and places.issuperset(info.path for info in found)):
            kept += [info.path for info in found]
        elif own:
            missing |= {file.url: file for file in own}
        elif field in needed:
            problem = f"no file for {field}, and no address of one is known"
            raise InputError(config.data_dir, problem, f"Put one of {', '.join(names)} there, or give --downloads")
        else:
            notes.append(f"no address of a file for {field} is known; the records are without its keys")
    archives = [file for file in published if file.is_mask_archive]
    patterns = _patterns_of(archives, config.data_dir)
    if not _wants_mask_archives(config) and config.mask_archives != patterns:
        archives, patterns = [], ()
    there = [info for pattern in patterns for info in storage.match(pattern)]
    _check_sizes(there, archives)
    missing |= {file.url: file for file in archives if not _are_there(file, config)}
    kept += [info.path for info in there]
    return FetchPlan(tuple(missing.values()), tuple(dict.fromkeys(kept)), tuple(notes), patterns)


def _files_with_first_name(names: Sequence[str], published: Sequence[PublishedFile], split: str) -> list[PublishedFile]:
    """Returns the published files with the first of `names` that any has."""
    expanded = [expand_split(name, split) for name in names]
    return next((files for name in expanded if (files := [file for file in published if file.holds(name)])), [])


def _find(names: Sequence[str], config: ConvertConfig, field: str) -> list[FileInfo]:
    try:
        return find(names, config.data_dir, config.split, field)
    except NotFoundError:
        return []


def _are_there(file: PublishedFile, config: ConvertConfig) -> bool:
    return all(storage.exists(storage.join(config.data_dir, name)) for name in file.files)


def _check_sizes(found: Sequence[FileInfo], files: Sequence[PublishedFile]) -> None:
    """Checks that a file under the name of a published one has its size, as a broken download has not."""
    sizes = {posixpath.basename(file.files[0]): file.size for file in files if not file.is_archive}
    for info in found:
        size = sizes.get(posixpath.basename(info.path))
        if size is not None and info.size != size:
            problem = f"it has {info.size:,} bytes, the published file has {size:,}"
            raise InputError(info.path, problem, "Delete it to download it again, or leave out --fetch")
