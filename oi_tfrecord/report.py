"""Reports on a dataset: reads every record, in worker processes, and writes what they hold in numbers."""

import concurrent.futures
import io
import multiprocessing
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from oi_tfrecord import storage
from oi_tfrecord.dataset import Split, find_splits, read_label_map, read_shard
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.finish import rejects_file
from oi_tfrecord.framing import FramingError
from oi_tfrecord.label_map import LabelMapItem
from oi_tfrecord.parse_example import ExampleError
from oi_tfrecord.record_stats import RecordFault, RecordStats, measure_records, merge_stats
from oi_tfrecord.reject_examples import RejectGroup, group_rejects
from oi_tfrecord.report_data import describe_split
from oi_tfrecord.report_page import PageAssets, format_csv, format_html, format_json
from oi_tfrecord.web_assets import read_asset

FORMATS = ("html", "json", "csv")
EXAMPLES_PER_REASON = 5
SHARDS_PER_WORKER = 4
"""A process takes longer to start than a few small shards take to read."""


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
    workers = min(workers or os.cpu_count() or 1, max(1, len(shards) // SHARDS_PER_WORKER))
    if workers == 1:
        return merge_stats(measure_shard(shard, mid_of) for shard in shards)
    # A forked process would share the locks of threads that Beam's filesystems start.
    with concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return merge_stats(pool.map(measure_shard, shards, [mid_of] * len(shards)))


def measure_shard(path: str, mid_of: Mapping[int, str]) -> RecordStats:
    """Counts what one shard holds, see `measure_records`.

    Raises:
      InputError: naming the shard and its record.
    """
    last = -1

    def records() -> Iterator[bytes]:
        nonlocal last
        for last, (_, data) in enumerate(read_shard(path)):  # noqa: B007
            yield data

    remedy = "`oi-tfrecord verify` lists all faults of the records"
    try:
        return measure_records(records(), mid_of)
    except FramingError as error:
        raise InputError(path, str(error), remedy) from error
    except (ExampleError, RecordFault) as error:
        raise InputError(path, f"record {last}: {error}", remedy) from error
    except FileNotFoundError as error:
        raise InputError(path, "the shard is gone", "Convert again: finished shards are kept") from error


def _read_rejects(output_dir: str, split: str) -> list[RejectGroup] | None:
    path = storage.join(output_dir, rejects_file(split))
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
