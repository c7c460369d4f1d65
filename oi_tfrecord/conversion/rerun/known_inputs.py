"""Recognises the inputs of an earlier run of the same conversion: by their content, where only their times differ."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.dataset.input_content import (
    Contents,
    RangeContent,
    contents_of_split,
    decode_contents,
    has_content,
)
from oi_tfrecord.dataset.output_state import count_correctable, read_splits
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.sources.archive_listing import ArchiveFile, find_content

Identity = Sequence[Any]
"""Kind, name, size, time of change and CRC-32C of the header of an input, as in a fingerprint."""

_TIME = 3

_ARCHIVE_KINDS = (Table.IMAGE_FILES, Table.MASK_FILES)


@dataclasses.dataclass(frozen=True)
class EarlierRun:
    """What an earlier run of the split left.

    Attributes:
        fingerprint: of its inputs and configuration.
        contents: what its tables held; empty where no shard was written yet.
        is_finished: whether its split is in the manifest.
        correctable: number of its rejects that may have been corrected since.
    """

    fingerprint: dict[str, Any]
    contents: Contents
    is_finished: bool
    correctable: int


def with_known_inputs(plan: ConvertPlan, progress: Progress) -> ConvertPlan:
    """Returns the plan with the fingerprint of an earlier run where it reads the same bytes.

    A table or archive that was copied or downloaded again is compared by its content, for which a table or tar.gz is
    read, and of a tar or zip what `find_content` reads. Where archives changed or were completed, all shards are
    written again.

    Args:
        plan: the conversion, with its number of shards.
        progress: takes a line about what is compared.
    """
    earlier = find_earlier(plan)
    if earlier is None or earlier.fingerprint == plan.fingerprint or (plan.config.overwrite and earlier.is_finished):
        return plan
    ours, theirs = plan.fingerprint, earlier.fingerprint
    if ours | {"inputs": []} != theirs | {"inputs": []}:
        return plan
    if not _have_same_tables(plan, earlier, progress):
        return plan
    our_archives, their_archives = _archives_of(ours), _archives_of(theirs)
    have_equal_sizes = _without_times(our_archives) == _without_times(their_archives)
    if have_equal_sizes and _have_same_archives(plan, earlier, progress):
        return dataclasses.replace(plan, fingerprint=theirs, kept=dataclasses.replace(plan.kept, known=_known(earlier)))
    # A finished conversion with nothing to correct is replaced with --overwrite only.
    may_replace = earlier.correctable or not earlier.is_finished
    are_corrected = earlier.is_finished and earlier.correctable and _are_completed(their_archives, our_archives)
    if (have_equal_sizes and may_replace) or are_corrected:
        progress.note("The archives were written again since the last run: all shards are written again.")
        return dataclasses.replace(plan, config=dataclasses.replace(plan.config, overwrite=True))
    return plan


def find_earlier(plan: ConvertPlan) -> EarlierRun | None:
    """Returns what an earlier run of the split left; None if there was none."""
    entry = read_splits(plan.config.output_dir).get(plan.config.split)
    if entry is not None:
        if "fingerprint" not in entry:
            return None
        return EarlierRun(entry["fingerprint"], contents_of_split(entry), True, count_correctable(entry))
    fingerprint = plan.work.fingerprint()
    if fingerprint is None:
        return None
    stored = plan.work.read_inputs()
    return EarlierRun(fingerprint, decode_contents(stored) if stored else {}, False, 0)


def _have_same_tables(plan: ConvertPlan, earlier: EarlierRun, progress: Progress) -> bool:
    ours, theirs = _tables_of(plan.fingerprint), _tables_of(earlier.fingerprint)
    if _without_times(ours) != _without_times(theirs):
        return False
    touched = [file for file, our, their in zip(plan.tables, ours, theirs, strict=True) if our != their]
    for file in touched:
        progress.note(f"Comparing {file.path} with what was read before, as its time of change differs.")
    # Before a shard is written, no record of an earlier version of the tables exists.
    return (not earlier.is_finished and not earlier.contents) or all(_is_same(file, earlier) for file in touched)


def _have_same_archives(plan: ConvertPlan, earlier: EarlierRun, progress: Progress) -> bool:
    """Returns whether archives of the same names and sizes hold what the earlier run read."""
    ours, theirs = _archives_of(plan.fingerprint), _archives_of(earlier.fingerprint)
    touched = [archive for archive, our, their in zip(plan.archives, ours, theirs, strict=True) if our != their]
    if not earlier.is_finished and not earlier.contents:
        # No record of an earlier version exists, and what was kept of the archive has its time of change.
        return True
    for archive in touched:
        progress.note(f"Comparing {archive.path} with what was read before, as its time of change differs.")
    return all(_is_same_archive(archive, earlier) for archive in touched)


def _is_same_archive(archive: ArchiveFile, earlier: EarlierRun) -> bool:
    ranges = earlier.contents.get((archive.listing, archive.number), ())
    try:
        return bool(ranges) and find_content(archive) == ranges[-1].crc32c
    except InputError:
        return False


def _known(earlier: EarlierRun) -> tuple[tuple[str, int, int], ...]:
    """Returns (listing, number, CRC-32C) of the archives that the earlier run read to their end."""
    return tuple(
        (table, number, ranges[-1].crc32c)
        for (table, number), ranges in earlier.contents.items()
        if table in _ARCHIVE_KINDS and ranges
    )


def _is_same(file: InputFile, earlier: EarlierRun) -> bool:
    header = RangeContent(0, file.rows_start, file.header_crc32c)
    return has_content(file.path, header, earlier.contents.get((file.table, file.number), ()))


def _tables_of(fingerprint: Mapping[str, Any]) -> list[Identity]:
    return [item for item in fingerprint["inputs"] if item[0] not in _ARCHIVE_KINDS]


def _archives_of(fingerprint: Mapping[str, Any]) -> list[Identity]:
    return [item for item in fingerprint["inputs"] if item[0] in _ARCHIVE_KINDS]


def _without_times(items: Sequence[Identity]) -> list[Identity]:
    return [[*item[:_TIME], *item[_TIME + 1 :]] for item in items]


def _are_completed(earlier: Sequence[Identity], ours: Sequence[Identity]) -> bool:
    """Returns whether archives hold at least what they held: each is there, and none is smaller."""
    sizes = dict(_sizes(ours))
    return all(sizes.get(name, -1) >= size for name, size in _sizes(earlier))


def _sizes(items: Sequence[Identity]) -> Iterator[tuple[tuple[str, str], int]]:
    for item in items:
        yield (item[0], item[1]), item[2]
