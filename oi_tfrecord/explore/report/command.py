"""Reports on a dataset: reads every record, in worker processes, and writes what they hold in numbers."""

import io
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import rejects_path
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import Split, find_splits, require_manifest
from oi_tfrecord.engine.map_shards import map_shards
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.report.numbers import describe_split
from oi_tfrecord.explore.report.page import PageAssets, format_csv, format_html, format_json
from oi_tfrecord.explore.report.record_stats import RecordStats, measure_records, merge_stats
from oi_tfrecord.explore.report.reject_examples import RejectGroup, group_rejects
from oi_tfrecord.explore.web_assets import read_asset
from oi_tfrecord.records.label_map import LabelMapItem

FORMATS = ("html", "json", "csv")

EXAMPLES_PER_REASON = 5


def report(output_dir: str, output: str, format: str, wanted: Sequence[str], workers: int, out: TextIO) -> None:
    """Writes the report of a dataset.

    Args:
        output_dir: folder of the records.
        output: file to write; `-` is `out`, and an empty name stands for `report.FORMAT` in the folder.
        format: one of FORMATS.
        wanted: names of splits; all by default.
        workers: processes that read shards; 0 chooses.
        out: where to tell what was written.

    Raises:
        ConfigError: for an unknown format.
        InputError: for a folder without records, or a record that cannot be read.
    """
    if format not in FORMATS:
        raise ConfigError("format", f"no format {format!r}; there are {', '.join(FORMATS)}")
    splits = [describe(output_dir, split, workers) for split in find_splits(output_dir, wanted).values()]
    title = f"Report on {posixpath.basename(output_dir.rstrip('/')) or output_dir}"
    text = {
        "html": lambda: format_html(title, splits, _page_assets()),
        "json": lambda: format_json(splits),
        "csv": lambda: format_csv(splits),
    }[format]()
    if output == "-":
        out.write(text)
        return
    path = output or storage.join(output_dir, f"report.{format}")
    storage.write(path, text.encode(), posixpath.dirname(path) or ".")
    for split in splits:
        totals = split["totals"]
        print(f"{split['split']:<10} {totals['records']:,} records, {totals['boxes']:,} boxes", file=out)
    print(f"report     {path}", file=out)


def describe(output_dir: str, split: Split, workers: int = 1) -> dict[str, Any]:
    """Returns the numbers of one split, see `describe_split`."""
    label_map = read_label_map(output_dir)
    classes: tuple[LabelMapItem, ...] = label_map.items if label_map else ()
    stats = measure_shards(split.shards, {item.id: item.name for item in classes}, workers)
    if split.manifest is not None:
        require_manifest(output_dir, split)
    rejects = _read_rejects(output_dir, split.name)
    return describe_split(split.name, split.manifest, len(split.shards), stats, classes, rejects)


def measure_shards(shards: Sequence[str], mid_of: Mapping[int, str], workers: int) -> RecordStats:
    """Counts what shards hold.

    Args:
        shards: paths.
        mid_of: MID of each label map id.
        workers: processes; 0 chooses, 1 works in this one.

    Raises:
        InputError: at a record that cannot be read.
    """
    return merge_stats(map_shards(_measure, shards, mid_of, workers))


def _measure(records: Iterable[tuple[int, bytes]], mid_of: Mapping[int, str]) -> RecordStats:
    return measure_records((data for _, data in records), mid_of)


def _read_rejects(output_dir: str, split: str) -> list[RejectGroup] | None:
    path = rejects_path(output_dir, split)
    if not storage.exists(path):
        return None
    with storage.open_read(path) as stream:
        try:
            return group_rejects(io.TextIOWrapper(stream, "utf-8", newline=""), EXAMPLES_PER_REASON)
        except ValueError as error:
            raise InputError(path, str(error), "Remove it, or convert again with --overwrite") from error


def _page_assets() -> PageAssets:
    license = read_asset("vendor/uplot/LICENSE")
    return PageAssets(
        styles=(read_asset("vendor/uplot/uPlot.min.css"), read_asset("theme.css"), read_asset("report.css")),
        scripts=(f"/*\n{license}*/\n{read_asset('vendor/uplot/uPlot.iife.min.js')}", read_asset("report.js")),
        body=read_asset("report.html"),
    )
