"""Ends a conversion: writes the label map, the list of rejects, and last of all the manifest."""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.accounts import AccountSum
from oi_tfrecord.dataset.attribution_csv import format_attribution_header
from oi_tfrecord.dataset.changed_inputs import find_changed
from oi_tfrecord.dataset.coverage import Unit
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, attribution_file, rejects_path
from oi_tfrecord.dataset.filter_warnings import FilterNames, warn_of_filters
from oi_tfrecord.dataset.manifest import (
    TableInput,
    build_split,
    first_lines,
    seal_entry,
    warn_of_other_expansion,
)
from oi_tfrecord.dataset.output_state import read_splits
from oi_tfrecord.dataset.publish_split import publish_split, update_manifest
from oi_tfrecord.dataset.rejects_csv import absolute_lines, format_header
from oi_tfrecord.dataset.shard_index import write_missing_indexes
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_csv, format_pbtxt
from oi_tfrecord.sources.archive_listing import ArchiveFile, find_archive_content


@dataclasses.dataclass(frozen=True)
class FinishJob:
    """What the end of a conversion needs of its plan.

    Attributes:
        split: name of the split.
        output_dir: folder of the dataset.
        work: folder of the accounts and rejects, which is deleted at the end.
        inputs: the CSV files and archives.
        about: entries that the manifest takes over.
        filter_names: names in filters.
        attribution_csv: whether the shards left parts of a list of attributions.
        dry_run: whether the manifest holds the numbers that an estimate needs.
    """

    split: str
    output_dir: str
    work: WorkFolder
    inputs: tuple[TableInput, ...]
    about: Mapping[str, Any]
    filter_names: FilterNames = dataclasses.field(default_factory=FilterNames)
    attribution_csv: bool = False
    dry_run: bool = False


def table_input(file: InputFile) -> TableInput:
    """Returns a CSV file as the manifest names it."""
    return TableInput(
        table=str(file.table),
        number=file.number,
        path=file.path,
        size=file.size,
        header_lines=file.header_lines,
        rows_start=file.rows_start,
        unit=Unit.UNPACKED_BYTES if file.compressed else Unit.BYTES,
        modified=file.modified,
        header_crc32c=file.header_crc32c,
    )


def archive_input(archive: ArchiveFile) -> TableInput:
    """Returns an archive as the manifest names it: its rows are the files in it."""
    return TableInput(
        table=str(archive.listing),
        number=archive.number,
        path=archive.path,
        size=archive.size,
        header_lines=0,
        rows_start=0,
        unit=Unit.FILES,
        modified=archive.modified,
    )


def finish_dataset(job: FinishJob, totals: AccountSum, label_map: LabelMap) -> dict[str, Any]:
    """Writes the files that make the shards a dataset; the manifest marks the dataset complete.

    Args:
        job: the end of the conversion.
        totals: sum of the accounts of every range and every shard.
        label_map: ids of the classes.

    Returns:
        The manifest of the split.
    """
    temporary = job.work.temporary
    storage.write(storage.join(job.output_dir, LABEL_MAP_FILE), format_pbtxt(label_map).encode(), temporary)
    storage.write(storage.join(job.output_dir, LABEL_MAP_CSV), format_csv(label_map).encode(), temporary)
    lines = first_lines(job.inputs, totals.ranges)
    with storage.create(rejects_path(job.output_dir, job.split), temporary) as stream:
        stream.write(format_header().encode())
        for piece in itertools.chain(job.work.rejects(), totals.rejects()):
            stream.write(absolute_lines(piece, lines).encode())
    about = dict(job.about)
    if changed := find_changed(job.inputs, totals.ranges, about.get("class_files", {}), find_archive_content):
        about["changed_inputs"] = changed
    if job.attribution_csv:
        about["attribution"] = _write_attribution(job)
    split = build_split(job.inputs, totals, label_map, about)
    split["warnings"] += warn_of_filters(job.filter_names, totals, split)
    split["warnings"] += warn_of_other_expansion(job.split, split, read_splits(job.output_dir))
    if job.dry_run:
        split["estimate"] = {
            "ranges": len(totals.ranges),
            "shuffled_bytes": sum(account.shuffled_bytes for account in totals.ranges),
            "cpu_seconds": totals.cpu_seconds,
        }
    else:
        # A shard of an interrupted run of an earlier version has no index.
        write_missing_indexes(job.output_dir, [shard["file"] for shard in split["shards"]], temporary)
    split = seal_entry(split)
    write = update_manifest if job.dry_run else publish_split
    write(job.output_dir, job.split, split, temporary)
    return split


def _write_attribution(job: FinishJob) -> dict[str, Any]:
    """Joins the parts of the shards to one file, and returns the manifest's entry of the file."""
    name = attribution_file(job.split)
    digest = hashlib.sha256()
    size = 0
    with storage.create(storage.join(job.output_dir, name), job.work.temporary) as stream:
        for piece in itertools.chain((format_attribution_header(),), job.work.attribution()):
            stream.write(piece)
            digest.update(piece)
            size += len(piece)
    return {"file": name, "bytes": size, "sha256": digest.hexdigest()}
