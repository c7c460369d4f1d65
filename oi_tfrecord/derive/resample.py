"""Makes a subset or a fold of a split, or weights for training with the split."""

import dataclasses
import hashlib

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import weights_file
from oi_tfrecord.dataset.label_map_claim import claim_label_map
from oi_tfrecord.dataset.manifest import seal_entry
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.dataset.publish_split import update_manifest
from oi_tfrecord.dataset.run_lock import hold_split
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.plan import DerivedPlan, Source, find_sources
from oi_tfrecord.derive.record_index import CLASSES_BY
from oi_tfrecord.derive.select_images import (
    ClassCap,
    FoldPart,
    ListedImages,
    Selector,
    StratifiedSubset,
    class_counts,
    known_class_ids,
    parse_fraction,
    read_batches,
    read_image_list,
)
from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.derive.weights import WEIGHTS_HEADER, write_weights
from oi_tfrecord.derive.write_split import (
    WrittenSplit,
    choose_shards,
    describe_written,
    finish_split,
    index_sources,
    write_shards,
)
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.csv.files import read_whole
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.sharding import MAX_SHARDS
from oi_tfrecord.settings.allowed_values import Choice, Range, Text
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option
from oi_tfrecord.storage.secrets import hide_secrets

PARTS = ("train", "test")

_SHAPING = ("fraction", "cap", "folds", "fold", "part", "repeat_threshold", "by")
"""Options that decide which images are taken; the manifest names them in this order."""


@dataclasses.dataclass(frozen=True)
class ResampleOptions:
    """Which images `resample` takes of a split, and what it writes: the flags of the command.

    At most one of `image_ids`, `fraction`, `cap` and `folds` selects images. Without `to`, the weights of
    `repeat_threshold` are written beside the records, which stay as they are.
    """

    output_dir: str = option(
        REQUIRED,
        "Folder that `oi-tfrecord convert` wrote, on any Beam filesystem.",
        Group.INPUTS,
        positional="DIR",
    )
    split: str = option(REQUIRED, "Split to take images from.", Group.INPUTS)
    to: str = option(
        "", "Folder to write to; without it, only weights can be written, beside the records.", Group.OUTPUT
    )
    as_: str = option(
        "",
        "Name of the new split; by default the name of the old one.",
        Group.OUTPUT,
        Text(
            r"[A-Za-z0-9][A-Za-z0-9_.+-]*",
            "is no name for a split: it may hold letters, digits, '_', '-', '+' and '.'",
            "letters, digits, _, -, + and .",
        ),
    )
    image_ids: str = option("", "File with the ImageIDs to take, one per line.", Group.CHOICE)
    fraction: str = option("", "Share of the images of each class, such as 0.1 or 1/3.", Group.CHOICE)
    cap: int = option(
        0,
        "Images per class: an image is kept while any of its classes has fewer; 0 is no cap.",
        Group.CHOICE,
        Range(1, 1 << 48),
    )
    folds: int = option(
        0, "Number of folds, made by a hash of the ImageID; 0 makes none.", Group.CHOICE, Range(2, 1000)
    )
    fold: int = option(-1, "Which fold, from 0.", Group.CHOICE, Range(0, 999))
    part: str = option(
        "train", "Part of the fold: test is the fold itself, train is all other images.", Group.CHOICE, Choice(PARTS)
    )
    repeat_threshold: float = option(
        0.0,
        "Write weights: share of the images below which a class is rare; 0 writes none.",
        Group.CLASSES,
        Range(0, 1),
    )
    by: str = option(
        "boxes",
        "What the classes of an image are: those of its boxes, or of its positive image labels.",
        Group.CLASSES,
        Choice(tuple(CLASSES_BY)),
    )
    shard_sha256: bool = option(
        False, "Also compute the SHA-256 of each shard for the manifest, which takes time.", Group.OUTPUT
    )
    num_shards: int = option(0, "Number of shards; 0 chooses by the size.", Group.OUTPUT, Range(0, MAX_SHARDS))
    workers: int = option(
        0, "Shards that this machine works on at once, a core each; 0 chooses.", Group.RUNNER, Range(0, 1024)
    )
    overwrite: bool = option(False, "Replace a split or weights that are in the output folder.", Group.OUTPUT)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)
        if sum(map(bool, (self.image_ids, self.fraction, self.cap, self.folds))) > 1:
            problem = "give one of --image_ids, --fraction, --cap and --folds; a subset can be resampled again"
            raise ConfigError("fraction", problem)
        if self.fraction:
            parse_fraction(self.fraction)
        if self.folds and not 0 <= self.fold < self.folds:
            raise ConfigError("fold", f"must be 0 to {self.folds - 1}, as --folds={self.folds}")
        if not self.folds and self.fold >= 0:
            raise ConfigError("folds", "is missing: --fold needs the number of folds")
        if not self.selects and not self.repeat_threshold:
            problem = "give --image_ids, --fraction, --cap or --folds to take images, or --repeat_threshold"
            raise ConfigError("fraction", problem)
        if not self.to and self.selects:
            raise ConfigError("to", "is missing: the folder of the new split")
        if not self.to and self.as_:
            raise ConfigError("as", "names a new split, and needs --to")
        if self.to and storage.identify(self.to) == storage.identify(self.output_dir):
            raise ConfigError("to", f"{self.output_dir} would have images in two splits; give another folder")

    @property
    def selects(self) -> bool:
        """Whether images are left out."""
        return bool(self.image_ids or self.fraction or self.cap or self.folds)

    @property
    def reason(self) -> Drop:
        """Why images are left out."""
        if self.image_ids:
            return Drop.NOT_IN_IMAGE_LIST
        return Drop.OVER_CAP if self.cap else Drop.OTHER_FOLD if self.folds else Drop.NOT_IN_SUBSET


def resample(options: ResampleOptions, progress: Progress | None = None) -> WrittenSplit:
    """Writes a part of a split as a split of its own, or weights for a split beside its records.

    Args:
        options: which images are taken, and what is written.
        progress: shows messages and how far the run is; silent by default.

    Returns:
        The split that was written, or that has weights now.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected.
    """
    progress = progress or NoProgress()
    accept_beam_arguments(options.beam_arguments)
    [source] = find_sources(options.output_dir, [options.split]).values()
    plan = _make_plan(source, options)
    return _write_part(plan, options, progress) if options.to else _add_weights(plan, options, progress)


def describe_resampled(options: ResampleOptions, written: WrittenSplit) -> str:
    """Returns the line that says what was written."""
    if options.to:
        return describe_written(written)
    manifest = written.manifest
    return f"{written.split}: {manifest['images']['records']:,} weights in {manifest['weights']['file']}"


def _write_part(plan: DerivedPlan, options: ResampleOptions, progress: Progress) -> WrittenSplit:
    """Writes the images that are taken as a split of its own."""
    with hold_split(plan.output_dir, plan.split):
        state = prepare_output(plan.target)
        if state.complete is not None:
            return WrittenSplit(plan.output_dir, plan.split, state.complete, was_complete=True)
        claim_label_map(plan.output_dir, plan.split, plan.label_map)
        index_sources(plan, progress)
        if options.selects:
            _store_selection(plan, options, progress)
        sized = choose_shards(plan)
        write_shards(sized, state.finished, progress)
        weights = {"weights": write_weights(sized, options.repeat_threshold)} if options.repeat_threshold else {}
        return finish_split(sized, weights)


def _add_weights(plan: DerivedPlan, options: ResampleOptions, progress: Progress) -> WrittenSplit:
    """Writes weights beside the records of a split, which stay as they are, and into its manifest."""
    manifest, split, output_dir = plan.sources[0].manifest, options.split, options.output_dir
    if "weights" in manifest and not options.overwrite:
        raise ConfigError("repeat_threshold", f"{split} of {output_dir} has weights already; give --overwrite")
    if "weights" not in manifest:
        path = storage.join(output_dir, weights_file(split))
        storage.refuse_foreign("repeat_threshold", path, WEIGHTS_HEADER)
    work = WorkFolder.of(output_dir, f"{split}-weights")
    plan = dataclasses.replace(plan, job=dataclasses.replace(plan.job, work=work))
    try:
        # The folder of an interrupted run could be of other records.
        work.delete()
        work.create(plan.fingerprint)
        index_sources(plan, progress)
        entry = seal_entry({**manifest, "weights": write_weights(plan, options.repeat_threshold)})
        update_manifest(output_dir, split, entry, work.temporary)
    finally:
        work.delete()
    return WrittenSplit(output_dir, split, entry)


def _make_plan(source: Source, options: ResampleOptions) -> DerivedPlan:
    output_dir, split = options.to or options.output_dir, options.as_ or options.split
    shaping = {name: getattr(options, name) for name in _SHAPING} | _describe_list(options)
    job = DerivedJob(
        split=split,
        output_dir=output_dir,
        work=WorkFolder.of(output_dir, split),
        sources=(source.split.shards,),
        by=options.by,
        reason=options.reason,
        expanded_boxes=source.label_map.expanded_boxes,
        shard_sha256=options.shard_sha256,
    )
    return DerivedPlan(
        sources=(source,),
        label_map=source.label_map,
        record_config=source.manifest["config"],
        options={
            "command": "resample",
            **shaping,
            "num_shards": options.num_shards,
            "shard_sha256": options.shard_sha256,
        },
        job=job,
        overwrite=options.overwrite,
        num_shards=options.num_shards,
        workers=options.workers,
        beam_arguments=options.beam_arguments,
    )


def _describe_list(options: ResampleOptions) -> dict[str, str]:
    """Returns the list of ImageIDs and a digest of its bytes; nothing without a list."""
    if not options.image_ids:
        return {}
    if not storage.exists(options.image_ids):
        raise ConfigError("image_ids", f"there is no file {options.image_ids}")
    digest = hashlib.sha256(read_whole(options.image_ids)).hexdigest()
    return {"image_ids": hide_secrets(options.image_ids), "image_ids_sha256": digest}


def _store_selection(plan: DerivedPlan, options: ResampleOptions, progress: Progress) -> None:
    """Stores which images are taken."""
    known_ids = known_class_ids(plan.label_map)
    selector = _make_selector(plan, options, known_ids)
    for batch in read_batches(plan, known_ids):
        plan.job.index.write_selection(0, batch.shard, selector.select(batch))
    for shard, image in selector.find_added():
        keep_mask = plan.job.index.read_selection(0, shard, plan.job.index.read_counts(0, shard).records)
        keep_mask[image] = True
        plan.job.index.write_selection(0, shard, keep_mask)
    for note in selector.find_notes():
        progress.note(f"{options.split}: {note}")


def _make_selector(plan: DerivedPlan, options: ResampleOptions, known_ids: np.ndarray) -> Selector:
    if options.image_ids:
        return ListedImages(read_image_list(options.image_ids, options.split))
    if options.fraction:
        counts = class_counts(plan.sources[0].manifest["classes"], CLASSES_BY[options.by], known_ids)
        return StratifiedSubset(parse_fraction(options.fraction), counts)
    if options.cap:
        return ClassCap(options.cap, len(known_ids))
    return FoldPart(options.folds, options.fold, inside=options.part == "test")
