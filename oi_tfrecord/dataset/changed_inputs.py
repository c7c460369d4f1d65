"""Inputs that changed while a run read them."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from oi_tfrecord import storage
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.coverage import Unit
from oi_tfrecord.dataset.input_content import Contents, RangeContent, contents_of_ranges, has_content
from oi_tfrecord.dataset.manifest import TableInput
from oi_tfrecord.errors import InputError, NotFoundError
from oi_tfrecord.openimages.csv.files import read_whole
from oi_tfrecord.storage.paths import FileInfo


def find_changed(
    inputs: Iterable[TableInput],
    ranges: Iterable[RangeAccount],
    class_files: Mapping[str, str],
    find_archive_content: Callable[[str], int],
) -> dict[str, str]:
    """Finds the inputs that are no longer those that the run began with, so that records may mix two versions.

    Args:
        inputs: The tables and archives, with their size and time of change when the run began.
        ranges: The accounts of what was read of them.
        class_files: Path to SHA-256 of the other files, decompressed.
        find_archive_content: Returns the CRC-32C by which a changed archive is known, which its last range has.

    Returns:
        Path to what happened, for each file that changed.
    """
    changed_tables = _find_changed_tables(inputs, contents_of_ranges(ranges), find_archive_content)
    return dict([*changed_tables, *_find_changed_files(class_files)])


def _find_changed_tables(
    inputs: Iterable[TableInput], contents: Contents, find_archive_content: Callable[[str], int]
) -> Iterator[tuple[str, str]]:
    for item in inputs:
        found = storage.match(storage.escape(item.path))
        if not found:
            yield item.path, "was removed while it was read"
        elif not _is_same(item, found[0], contents, find_archive_content):
            yield item.path, f"was changed while it was read: {_describe_change(item, found[0])}"


def _is_same(item: TableInput, now: FileInfo, contents: Contents, find_archive_content: Callable[[str], int]) -> bool:
    if (now.size, now.modified) == (item.size, item.modified):
        return True
    if now.size != item.size:
        return False
    header, ranges = RangeContent(0, item.rows_start, item.header_crc32c), contents.get((item.table, item.number), ())
    try:
        if item.unit is Unit.FILES:
            return bool(ranges) and find_archive_content(item.path) == ranges[-1].crc32c
        return has_content(item.path, header, ranges)
    except (InputError, FileNotFoundError):
        return False


def _find_changed_files(class_files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path, sha256 in class_files.items():
        try:
            data = read_whole(path)
        except (FileNotFoundError, NotFoundError):
            yield path, "was removed while the run used it"
            continue
        if hashlib.sha256(data).hexdigest() != sha256:
            yield path, "was changed while the run used it"


def _describe_change(before: TableInput, now: FileInfo) -> str:
    if before.size != now.size:
        return f"it had {before.size:,} bytes and has {now.size:,}"
    return f"it has the same size, but was written at {time.strftime('%H:%M:%S', time.localtime(now.modified))}"
