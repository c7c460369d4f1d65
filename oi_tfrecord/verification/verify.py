"""Verifies a dataset: reads the records back, and compares records, manifest, label map and rejects."""

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, MANIFEST_FILE, rejects_file
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.dataset.splits import Split, find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.beam_flags import runs_here, value_of
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import VerifyStatus
from oi_tfrecord.engine.run_pipeline import run_steps
from oi_tfrecord.engine.submitted_job import SubmittedJob
from oi_tfrecord.engine.threads import Work, choose_workers, split_workers
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.settings.allowed_values import Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option
from oi_tfrecord.verification.check_index import check_index_files
from oi_tfrecord.verification.check_label_map import check_label_map, compare_classes, compare_label_map_csv
from oi_tfrecord.verification.check_manifest import compare_manifest
from oi_tfrecord.verification.check_rejects import compare_rejects
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.check_side_files import (
    check_manifest_form,
    check_named_files,
    check_without_manifest,
)
from oi_tfrecord.verification.check_tfds_files import check_tfds_files
from oi_tfrecord.verification.faults import DatasetFault
from oi_tfrecord.verification.plan import check_shard_files, find_shard_files, plan_shards
from oi_tfrecord.verification.result import SplitSummary, VerifyResult, add_faults, unpack_result
from oi_tfrecord.verification.steps import RESULT_FILE, verify_here


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    """What `verify` checks, and how: the flags of the command."""

    output_dir: str = option(REQUIRED, "Folder of the records, on any Beam filesystem.", Group.INPUTS, positional="DIR")
    split: tuple[str, ...] = option((), "Splits to check; all by default.", Group.INPUTS)
    label_map: str = option("", "Label map; label_map.pbtxt of the folder by default.", Group.CLASSES)
    decode: bool = option(False, "Decode every image, not only read its header.", Group.IMAGES)
    max_faults: int = option(100, "Faults to list; all are counted.", Group.OUTPUT, Range(0, 1_000_000))
    workers: int = option(
        0, "Shards that this machine checks at once, a core each; 0 chooses.", Group.RUNNER, Range(0, 1024)
    )
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)


def verify(options: VerifyOptions, progress: Progress | None = None) -> VerifyResult:
    """Reads a dataset back and checks it.

    Args:
        options: what to check, and how.
        progress: shows messages and how far the run is; silent by default.

    Returns:
        What the dataset holds, and its faults.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected.
    """
    accept_beam_arguments(options.beam_arguments)
    splits = find_splits(options.output_dir, options.split)
    files = find_shard_files(options.output_dir)
    label_map, faults = read_given_label_map(options, splits)
    with refusing_foreign_manifests(options.output_dir):
        tasks = plan_shards(splits, files, label_map, decode=options.decode, max_faults=options.max_faults)
    faults += [*check_shard_files(splits, files), *check_index_files(options.output_dir, splits)]
    result = _check_shards(options, tasks, progress or NoProgress())
    if data := read_manifest(options.output_dir):
        faults += check_manifest_form(data)
        with refusing_foreign_manifests(options.output_dir):
            faults += check_tfds_files(options.output_dir, json.loads(data)["splits"])
    for split in splits.values():
        with refusing_foreign_manifests(options.output_dir):
            faults += _check_files_beside(options.output_dir, split, label_map, result)
    without = tuple(name for name, split in splits.items() if split.manifest is None)
    return dataclasses.replace(add_faults(result, faults, options.max_faults), without_manifest=without)


@contextlib.contextmanager
def refusing_foreign_manifests(output_dir: str) -> Iterator[None]:
    """Raises an InputError where the manifest has another shape than `convert` writes."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        path = storage.join(output_dir, MANIFEST_FILE)
        raise InputError(path, f"is not as convert writes it: {error!r}", "Convert again with --overwrite") from error


def read_given_label_map(
    options: VerifyOptions, splits: Mapping[str, Split]
) -> tuple[LabelMap | None, list[DatasetFault]]:
    """Returns the label map of the options or of the folder, None if there is none, and its faults."""
    path = options.label_map or storage.join(options.output_dir, LABEL_MAP_FILE)
    has_manifest = any(split.manifest is not None for split in splits.values())
    return check_label_map(path, is_needed=bool(options.label_map) or has_manifest)


def _check_files_beside(
    output_dir: str, split: Split, label_map: LabelMap | None, result: VerifyResult
) -> list[DatasetFault]:
    """Compares manifest, label map and lists of a split that we wrote with the records and with each other."""
    if split.manifest is None:
        return list(check_without_manifest(output_dir, split.name))
    name, manifest = split.name, split.manifest
    summary = result.splits.get(name, SplitSummary())
    rejects = rejects_file(name)
    return [
        *compare_manifest(name, manifest, summary.counts, summary.size),
        *compare_label_map_csv(name, label_map, read_text(storage.join(output_dir, LABEL_MAP_CSV))),
        *(compare_classes(name, manifest, label_map) if label_map else ()),
        *compare_rejects(name, manifest, read_text(storage.join(output_dir, rejects)), rejects),
        *check_named_files(output_dir, name, manifest),
    ]


def read_text(path: str) -> str | None:
    """Returns the text of a file beside the shards, None if there is none."""
    return storage.read(path).decode(errors="replace") if storage.exists(path) else None


def _check_shards(options: VerifyOptions, tasks: tuple[ShardTask, ...], progress: Progress) -> VerifyResult:
    if not tasks:
        return VerifyResult()
    size = sum(_size(task) for task in tasks)
    kind = Work.DECODE_RECORDS if options.decode else Work.CHECK_RECORDS
    workers = options.workers or choose_workers(kind, size, len(tasks))
    processes, threads = split_workers(workers, is_local=runs_here(options.beam_arguments))
    work = WorkFolder(_work_folder(options.beam_arguments))
    try:
        for name in ("progress", "temporary"):
            storage.make_folder(storage.join(work.path, name))

        def build(root: Any) -> Any:
            from oi_tfrecord.verification.pipeline import VerifyShards

            return root | "VerifyShards" >> VerifyShards(tasks, work, options.max_faults, threads)

        run_steps(
            options.beam_arguments,
            processes,
            progress.watch(VerifyStatus(work, len(tasks), "verified")),
            build,
            lambda: verify_here(tasks, work, options.max_faults, threads),
            SubmittedJob(progress.note),
        )
        return unpack_result(storage.read(storage.join(work.path, RESULT_FILE)))
    finally:
        storage.delete_folder(work.path)


def _size(task: ShardTask) -> int:
    if task.expected is not None and isinstance(size := task.expected.get("bytes"), int):
        return size
    return sum(info.size for info in storage.match(storage.escape(task.path)))


def _work_folder(beam_arguments: Sequence[str]) -> str:
    """Returns a folder that this process and the workers reach."""
    if runs_here(beam_arguments):
        return tempfile.mkdtemp(prefix="oi_tfrecord-verify-")
    folder = value_of(beam_arguments, "--temp_location")
    if not folder:
        raise ConfigError("temp_location", "must name a folder that the workers reach, as the result comes through it")
    return storage.join(folder, f"oi_tfrecord-verify-{os.urandom(8).hex()}")
