"""Verifies a dataset from its command line to its exit code."""

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Sequence
from typing import TextIO

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.beam_flags import is_local
from oi_tfrecord.engine.progress_line import ProgressLine
from oi_tfrecord.engine.progress_text import VerifyStatus
from oi_tfrecord.engine.run_pipeline import import_beam_quietly, run_pipeline
from oi_tfrecord.engine.threads import Work, choose_workers, split_workers
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.verification.check_manifest import compare_manifest
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.plan import check_label_map, check_side_files, plan_shards
from oi_tfrecord.verification.verdict import SplitSummary, Verdict, add_faults, read_verdict, to_report, to_text


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    """What is verified, and how.

    Attributes:
        output_dir: folder of the dataset.
        splits: names of the splits; all by default.
        label_map: path of a label map; the one of the dataset by default.
        decode: whether to decode images.
        max_faults: how many faults are told; all are counted.
        workers: shards that this machine checks at once; 0 chooses.
        beam_arguments: flags that Beam owns.
    """

    output_dir: str
    splits: tuple[str, ...] = ()
    label_map: str = ""
    decode: bool = False
    max_faults: int = 100
    workers: int = 0
    beam_arguments: tuple[str, ...] = ()


def verify(options: VerifyOptions) -> Verdict:
    """Verifies a dataset.

    Args:
        options: what and how.

    Returns:
        What it holds and what is wrong with it.

    Raises:
        ConfigError, InputError: naming what to mend.
    """
    storage.use_options(options.beam_arguments)
    splits = find_splits(options.output_dir, options.splits)
    path = options.label_map or storage.join(options.output_dir, LABEL_MAP_FILE)
    is_needed = bool(options.label_map) or any(split.manifest is not None for split in splits.values())
    label_map, faults = check_label_map(path, is_needed)
    tasks, stray = plan_shards(
        options.output_dir, splits, label_map, decode=options.decode, max_faults=options.max_faults
    )
    faults += stray
    verdict = _check_shards(options, tasks)
    for split in splits.values():
        if split.manifest is not None:
            summary = verdict.splits.get(split.name, SplitSummary())
            faults += compare_manifest(split.name, split.manifest, summary.counts, summary.size)
            faults += check_side_files(options.output_dir, split, label_map)
    return add_faults(verdict, faults, options.max_faults)


def run_verify(options: VerifyOptions, output_format: str, out: TextIO) -> int:
    """Verifies a dataset and tells the result; returns 0 if there is no fault, 1 if there are some."""
    started = time.monotonic()
    verdict = verify(options)
    if output_format == "json":
        print(json.dumps(to_report(verdict), indent=1), file=out)
    else:
        for line in to_text(verdict, time.monotonic() - started):
            print(line, file=out)
    return 1 if verdict.total else 0


def _check_shards(options: VerifyOptions, tasks: tuple[ShardTask, ...]) -> Verdict:
    if not tasks:
        return Verdict({}, (), {})
    import_beam_quietly(options.beam_arguments)
    from oi_tfrecord.verification.pipeline import VERDICT_FILE, VerifyShards

    size = sum(_size(task) for task in tasks)
    kind = Work.DECODE_RECORDS if options.decode else Work.CHECK_RECORDS
    workers = options.workers or choose_workers(kind, size, len(tasks))
    processes, threads = split_workers(workers, is_local=is_local(options.beam_arguments))
    work = WorkFolder(_work_folder(options.beam_arguments))
    try:
        for name in ("progress", "temporary"):
            storage.make_folder(storage.join(work.path, name))
        run_pipeline(
            options.beam_arguments,
            processes,
            ProgressLine(VerifyStatus(work, len(tasks), "verified")),
            lambda root: root | "VerifyShards" >> VerifyShards(tasks, work, options.max_faults, threads),
        )
        return read_verdict(storage.read(storage.join(work.path, VERDICT_FILE)))
    finally:
        storage.delete_folder(work.path)


def _size(task: ShardTask) -> int:
    if task.expected is not None and isinstance(size := task.expected.get("bytes"), int):
        return size
    return sum(info.size for info in storage.match(storage.escape(task.path)))


def _work_folder(beam_arguments: Sequence[str]) -> str:
    """Returns a folder that this process and the workers reach."""
    if is_local(beam_arguments):
        return tempfile.mkdtemp(prefix="oi_tfrecord-verify-")
    for index, argument in enumerate(beam_arguments):
        name, equals, value = argument.partition("=")
        if name == "--temp_location":
            folder = value if equals else beam_arguments[index + 1]
            return storage.join(folder, f"oi_tfrecord-verify-{os.urandom(8).hex()}")
    raise ConfigError("temp_location", "must name a folder that the workers reach, as the verdict comes through it")
