"""Reports on a dataset: counts what its records hold, in worker processes, and writes the numbers."""

import dataclasses
import io
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import list_dataset_files, rejects_path
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import Split, find_splits, require_manifest
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.map_shards import map_shards
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import CountedStatus
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.report.example_pictures import MOST_CLASSES, Picture, choose_wanted, find_pictures
from oi_tfrecord.explore.report.format_report import PageAssets, PageExtras, format_csv, format_html, format_json
from oi_tfrecord.explore.report.numbers import SplitNumbers, make_numbers
from oi_tfrecord.explore.report.record_stats import RecordStats, measure_records, merge_stats
from oi_tfrecord.explore.report.reject_examples import RejectGroup, group_rejects
from oi_tfrecord.explore.web_assets import read_asset
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

FORMATS = ("html", "json", "csv")

EXAMPLES_PER_REASON = 5
"""Rejects that the report shows of each reason."""


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Which dataset `report` counts, and what it writes: the flags of the command."""

    output_dir: str = option(REQUIRED, "Folder of the records.", Group.INPUTS, positional="DIR")
    output: str = option(
        "", "File to write, - for standard output; report.FORMAT in the folder by default.", Group.OUTPUT
    )
    format: str = option("html", "Format of the report.", Group.OUTPUT, Choice(FORMATS))
    split: tuple[str, ...] = option((), "Splits to count; all by default.", Group.INPUTS)
    examples: int = option(
        0,
        f"Small pictures of each of the {MOST_CLASSES} most frequent classes in the page.",
        Group.OUTPUT,
        Range(0, 100),
    )
    browser: str = option(
        "", "Address that `oi-tfrecord browse` prints; each class of the page links to its images there.", Group.OUTPUT
    )
    workers: int = option(0, "Processes that read shards; 0 chooses.", Group.RUNNER, Range(0, 1024))
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)
        if self.browser and not self.browser.startswith(("http://", "https://")):
            raise ConfigError("browser", f"{self.browser!r} does not start with http:// or https://")
        if self.examples and self.format != "html":
            raise ConfigError("examples", f"is for the page, but --format={self.format} has no pictures")


@dataclasses.dataclass(frozen=True)
class Report:
    """The report of a dataset.

    Attributes:
        splits: numbers of each split.
        text: the report in its format.
        path: file that the text was written to; empty if `output` is `-`.
    """

    splits: tuple[SplitNumbers, ...]
    text: str
    path: str


def report(options: ReportOptions, *, progress: Progress | None = None) -> Report:
    """Counts what the records of a dataset hold, and writes a report.

    Args:
        options: which dataset, and what to write.
        progress: shows how far the run is; silent by default.

    Returns:
        The numbers, and the text that was written.

    Raises:
        InputError: for a folder without records, or a record that cannot be read.
        ConfigError: if the output is a file of the dataset.
    """
    accept_beam_arguments(options.beam_arguments)
    found = find_splits(options.output_dir, options.split)
    path = options.output or storage.join(options.output_dir, f"report.{options.format}")
    storage.refuse_inputs("output", path, [options.output_dir, *list_dataset_files(options.output_dir)])
    label_map = read_label_map(options.output_dir)
    status = CountedStatus(sum(len(split.shards) for split in found.values()), "shards counted")
    with (progress or NoProgress()).watch(status):
        splits = tuple(_count_split(options, split, label_map, status) for split in found.values())
    text = _format(options, found, splits)
    if options.output == "-":
        return Report(splits, text, "")
    storage.write_output("output", path, text.encode())
    return Report(splits, text, path)


def describe_report(report: Report) -> Iterator[str]:
    """Yields the lines that say what was written."""
    for split in report.splits:
        yield f"{split.split:<10} {split.totals['records']:,} records, {split.totals['boxes']:,} boxes"
    yield f"report     {report.path}"


def _format(options: ReportOptions, found: Mapping[str, Split], splits: Sequence[SplitNumbers]) -> str:
    match options.format:
        case "json":
            return format_json(splits)
        case "csv":
            return format_csv(splits)
        case _:
            title = f"Report on {posixpath.basename(options.output_dir.rstrip('/')) or options.output_dir}"
            extras = PageExtras(_find_examples(options, found, splits), options.browser)
            return format_html(title, splits, _page_assets(), extras)


def _find_examples(
    options: ReportOptions, found: Mapping[str, Split], splits: Sequence[SplitNumbers]
) -> dict[str, Mapping[str, Sequence[Picture]]]:
    if not options.examples:
        return {}
    label_map = read_label_map(options.output_dir)
    mid_of = {item.id: item.name for item in (label_map.items if label_map else ())}
    return {
        split.split: find_pictures(found[split.split].shards, choose_wanted(split.classes, options.examples), mid_of)
        for split in splits
    }


def _count_split(
    options: ReportOptions, split: Split, label_map: LabelMap | None, status: CountedStatus
) -> SplitNumbers:
    """Returns the numbers of one split.

    Raises:
        InputError: at a record that cannot be read, or a manifest that lacks keys.
    """
    classes = label_map.items if label_map else ()
    mid_of = {item.id: item.name for item in classes}
    stats = merge_stats(status.count(map_shards(_measure, split.shards, mid_of, options.workers)))
    if split.manifest is not None:
        require_manifest(options.output_dir, split)
    rejects = _read_rejects(options.output_dir, split.name)
    return make_numbers(split.name, split.manifest, len(split.shards), stats, classes, rejects)


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
            raise InputError(path, str(error), "Remove the file, or convert again with --overwrite") from error


def _page_assets() -> PageAssets:
    license = read_asset("vendor/uplot/LICENSE")
    return PageAssets(
        styles=(read_asset("vendor/uplot/uPlot.min.css"), read_asset("theme.css"), read_asset("report.css")),
        scripts=(
            f"/*\n{license}*/\n{read_asset('vendor/uplot/uPlot.iife.min.js')}",
            *map(read_asset, ("report_charts.js", "report_classes.js", "report.js")),
        ),
        body=read_asset("report.html"),
    )
