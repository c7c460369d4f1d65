"""Verifies a dataset: which checks are made, and what they found together."""

import dataclasses
import os
import tempfile
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.beam_flags import is_local
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import VerifyStatus
from oi_tfrecord.engine.run_pipeline import import_beam_quietly, run_pipeline
from oi_tfrecord.engine.threads import Work, choose_workers, split_workers
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option
from oi_tfrecord.verification.check_manifest import compare_manifest
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.plan import check_label_map, check_side_files, plan_shards
from oi_tfrecord.verification.result import SplitSummary, VerifyResult, add_faults, read_result


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
        progress: takes what there is to say while the check runs.

    Returns:
        What the dataset holds, and its faults.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected.
    """
    accept_beam_arguments(options.beam_arguments)
    splits = find_splits(options.output_dir, options.split)
    path = options.label_map or storage.join(options.output_dir, LABEL_MAP_FILE)
    is_needed = bool(options.label_map) or any(split.manifest is not None for split in splits.values())
    label_map, faults = check_label_map(path, is_needed)
    tasks, stray = plan_shards(
        options.output_dir, splits, label_map, decode=options.decode, max_faults=options.max_faults
    )
    faults += stray
    result = _check_shards(options, tasks, progress or NoProgress())
    for split in splits.values():
        if split.manifest is not None:
            summary = result.splits.get(split.name, SplitSummary())
            faults += compare_manifest(split.name, split.manifest, summary.counts, summary.size)
            faults += check_side_files(options.output_dir, split, label_map)
    return add_faults(result, faults, options.max_faults)


def _check_shards(options: VerifyOptions, tasks: tuple[ShardTask, ...], progress: Progress) -> VerifyResult:
    if not tasks:
        return VerifyResult({}, (), {})
    import_beam_quietly(options.beam_arguments)
    from oi_tfrecord.verification.pipeline import RESULT_FILE, VerifyShards

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
            progress.watch(VerifyStatus(work, len(tasks), "verified")),
            lambda root: root | "VerifyShards" >> VerifyShards(tasks, work, options.max_faults, threads),
        )
        return read_result(storage.read(storage.join(work.path, RESULT_FILE)))
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
    raise ConfigError("temp_location", "must name a folder that the workers reach, as the result comes through it")
