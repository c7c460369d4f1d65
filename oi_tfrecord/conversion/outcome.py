"""What a conversion made, in lines for its user: the counts, the files, and all that is wrong."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.coverage import find_losses
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE, MANIFEST_FILE, rejects_file
from oi_tfrecord.dataset.manifest import too_many_rejects
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.errors import EngineError, InputError
from oi_tfrecord.openimages.image_id import ANY_FORMAT
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.settings.allowed_values import parse_max_rejects

LISTED_LOSSES = 20
"""Losses that get a line each."""


@dataclasses.dataclass(frozen=True)
class ConversionResult:
    """What a conversion made.

    Attributes:
        output_dir: folder of the dataset.
        split: name of the split.
        num_shards: number of shards.
        manifest: entry of the split in the manifest.
        was_complete: whether an earlier run had finished the conversion.
        resumed_shards: number of shards that an interrupted run had finished.
        seconds: that this run took.
        problems: a line for each thing that is wrong.
        exit_code: of a command: 0, 2 for too many rejects, 3 if rows or images were lost.
    """

    output_dir: str
    split: str
    num_shards: int
    manifest: Mapping[str, Any]
    was_complete: bool
    resumed_shards: int
    seconds: float
    problems: tuple[str, ...]
    exit_code: int

    @property
    def first_shard(self) -> str:
        """Path of the first shard."""
        return storage.join(self.output_dir, shard_file(self.split, 0, self.num_shards))


def summary_lines(result: ConversionResult) -> list[str]:
    """Returns the counts of a conversion and its files as lines of text."""
    totals = result.manifest["totals"]
    return [
        *(["Nothing to do: this conversion is complete."] if result.was_complete else []),
        f"records    {totals['records']:,} images{_describe_boxes(result.manifest)} in {totals['shards']:,} shards, "
        f"{format_size(totals['bytes'])}, {result.seconds:.1f} s",
        f"           {result.first_shard}{' ...' if result.num_shards > 1 else ''}",
        *_lines_of_counts_and_files(result),
        *_lines_of_reasons("rejected", Reject, _count_rejected(result.manifest)),
        *_lines_of_reasons("left out", Drop, _count_left_out(result.manifest)),
        *([] if result.problems else [f"next       oi-tfrecord verify {result.output_dir}"]),
    ]


def _describe_boxes(entry: Mapping[str, Any]) -> str:
    boxes = entry["tables"].get(Table.BOXES)
    return f" with {boxes['written'] + boxes.get('added_by_hierarchy', 0):,} boxes" if boxes else ""


def _count_rejected(entry: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Returns, by reason, how many images and rows of each table are rejected for it."""
    counts: dict[str, dict[str, int]] = {}
    rejected = {"images": entry["images"]["rejected"]} | {
        table: count["rejected"] for table, count in entry["tables"].items()
    }
    for what, by_reason in rejected.items():
        for reason, number in by_reason.items():
            # The rows of a rejected image follow the image.
            if number and reason != Reject.IMAGE_REJECTED:
                counts.setdefault(reason, {})[what] = number
    return counts


def _count_left_out(entry: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Returns, by reason, how many images and rows of each table are left out for it."""
    counts: dict[str, dict[str, int]] = {}
    for table, count in entry["tables"].items():
        for reason, number in count["dropped"].items():
            if number:
                counts.setdefault(reason, {})["images" if table == Table.METADATA else table] = number
    return counts


def _lines_of_reasons(
    title: str, reasons: Iterable[Reject] | Iterable[Drop], counts: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Returns a line for each reason, the most frequent first, with what to do about the reason."""
    remedies = {str(reason): reason.remedy for reason in reasons}
    lines: list[str] = []
    for reason in sorted(counts, key=lambda name: -sum(counts[name].values())):
        numbers = ", ".join(f"{number:,} {what}" for what, number in counts[reason].items())
        lines.append(f"{title if not lines else '':<10} {numbers} ({reason}): {remedies[reason]}")
    return lines


def dry_run_lines(result: ConversionResult) -> list[str]:
    """Returns the counts of a dry run and its files as lines of text."""
    records = result.manifest["totals"]["records"]
    return [
        f"dry run    {records:,} records expected, if every image is there; {result.seconds:.1f} s",
        *_lines_of_counts_and_files(result),
    ]


def _lines_of_counts_and_files(result: ConversionResult) -> list[str]:
    entry = result.manifest
    return [
        _images_line(entry["images"]),
        *(_table_line(table, entry["tables"][table]) for table in Table if table in entry["tables"]),
        *(f"{name:<10} {storage.join(result.output_dir, file)}" for name, file in _files(result).items()),
    ]


def _images_line(images: Mapping[str, Any]) -> str:
    return (
        f"images     {images['selected']:,} selected, {images['not_selected']:,} not selected, "
        f"{sum(images['rejected'].values()):,} rejected{_by_reason(images['rejected'])}{_skipped(images)}"
    )


def _skipped(images: Mapping[str, Any]) -> str:
    skipped = images.get("skipped", {})
    return f", {sum(skipped.values()):,} skipped{_by_reason(skipped)}" if skipped else ""


def _table_line(table: str, count: Mapping[str, Any]) -> str:
    return (
        f"{table:<14} {count['rows_read']:,} rows read, {count['written']:,} written, {_added(count)}"
        f"{sum(count['rejected'].values()):,} rejected{_by_reason(count['rejected'])}, "
        f"{sum(count['dropped'].values()):,} left out{_by_reason(count['dropped'])}"
    )


def _added(count: Mapping[str, Any]) -> str:
    return f"{count['added_by_hierarchy']:,} added by the hierarchy, " if "added_by_hierarchy" in count else ""


def _by_reason(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in counts.items())})" if counts else ""


def _files(result: ConversionResult) -> dict[str, str]:
    files = {"label map": LABEL_MAP_FILE, "manifest": MANIFEST_FILE, "rejects": rejects_file(result.split)}
    if attribution := result.manifest.get("attribution"):
        files["credits"] = attribution["file"]
    return files


def find_problems(split: Mapping[str, Any], max_rejects: str, rejects_path: str) -> tuple[int, list[str]]:
    """Returns the exit code of a conversion, and a line for each thing that is wrong with it.

    Args:
        split: its manifest.
        max_rejects: the bound, a count or a percentage.
        rejects_path: where the rejects are listed.

    Returns:
        (0 for none, 2 for too many rejects, 3 if rows or images were lost; the lines).
    """
    if not split["balanced"]:
        losses = [detail for _, detail in find_losses(split)]
        more = len(losses) - LISTED_LOSSES
        listed = losses[:LISTED_LOSSES] + [f"... and {more} more"] * (more > 0)
        remedy = "run the same command with --overwrite, and if it happens again, please report it"
        if "changed_inputs" in split:
            return 3, [*listed, "the records may mix two versions of a file: run the same command with --overwrite"]
        return 3, [*listed, f"rows or images were lost or doubled, by the runner or a fault of oi_tfrecord: {remedy}"]
    limit, is_percentage = parse_max_rejects(max_rejects)
    if over := too_many_rejects(split, limit, is_percentage):
        over += _hints(split)
        over.append(
            f"more rejects than --max_rejects={max_rejects} allows; they are listed in {rejects_path}. "
            "The records are complete without them: correct the input, or give a higher --max_rejects."
        )
    return 2 if over else 0, over


def _hints(split: Mapping[str, Any]) -> list[str]:
    """Returns a line about ImageIDs, if some are rejected and names are not taken."""
    bad = sum(table["rejected"].get(str(Reject.BAD_IMAGE_ID), 0) for table in split["tables"].values())
    if not bad or split.get("config", {}).get("image_id_format") == ANY_FORMAT:
        return []
    return [
        f"{bad:,} rows have ImageIDs other than 16 hex digits: give --image_id_format=any if they are meant as names"
    ]


def check_end(split: Mapping[str, Any], max_rejects: str, rejects_path: str) -> Mapping[str, Any]:
    """Returns the manifest if nothing is wrong; the arguments are those of `find_problems`.

    The last step of a job that no command waits for; so its error has all lines of `find_problems`.

    Raises:
        InputError: too many rejects.
        EngineError: rows or images were lost.
    """
    code, problems = find_problems(split, max_rejects, rejects_path)
    if code == 3:
        raise EngineError("; ".join(problems[:-1]) or "the counts do not balance", problems[-1])
    if problems:
        raise InputError(rejects_path, " ".join(problems).rstrip("."), "The dataset is complete except for the rejects")
    return split
