"""Makes a subset of a split, a fold of it, or weights for training with it."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import weights_file
from oi_tfrecord.dataset.manifest import merge_split
from oi_tfrecord.dataset.manifest_file import read_manifest, write_manifest
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.plan import DerivedClasses, DerivedConfig, DerivedPlan, Source, find_sources, make_fingerprint
from oi_tfrecord.derive.record_index import CLASSES_BY, NO_CLASS, ShardIndex, check_classes_by
from oi_tfrecord.derive.repeat_factors import WEIGHTS_HEADER, class_factors, format_weights, image_factors
from oi_tfrecord.derive.run import derive, index_sources
from oi_tfrecord.derive.select_images import (
    ClassCap,
    ImageClasses,
    StratifiedSubset,
    class_counts,
    code_classes,
    fold_of,
    parse_fraction,
)
from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.reasons import Drop

PARTS = ("train", "test")


@dataclasses.dataclass(frozen=True)
class ResampleOptions:
    """What is taken of a split: one of `fraction`, `cap` and `folds`, or all of it, and whether weights are made.

    Attributes:
        fraction: share of each stratum, as text; empty for none.
        cap: images per class; 0 for none.
        folds, fold, part: number of folds; index of the fold, from 0; `test` for that fold or `train` for the rest.
        repeat_threshold: share of images below which a class is to be repeated; 0 makes no weights.
        by: what the classes of an image are taken from: its `boxes`, or its positive image `labels`.
    """

    fraction: str = ""
    cap: int = 0
    folds: int = 0
    fold: int = -1
    part: str = "train"
    repeat_threshold: float = 0.0
    by: str = "boxes"

    def __post_init__(self) -> None:
        check_classes_by(self.by)
        if sum(map(bool, (self.fraction, self.cap, self.folds))) > 1:
            raise ConfigError("fraction", "give one of --fraction, --cap and --folds; a subset can be resampled again")
        if self.fraction:
            parse_fraction(self.fraction)
        if self.cap < 0:
            raise ConfigError("cap", f"{self.cap} is not 1 or more")
        if self.folds and not 2 <= self.folds <= 1000:
            raise ConfigError("folds", f"{self.folds} is not within 2 to 1000")
        if self.folds and not 0 <= self.fold < self.folds:
            raise ConfigError("fold", f"must be 0 to {self.folds - 1}, as --folds={self.folds}")
        if not self.folds and self.fold >= 0:
            raise ConfigError("folds", "is missing: of how many is --fold one")
        if self.part not in PARTS:
            raise ConfigError("part", f"{self.part!r} is none of {', '.join(PARTS)}")
        # As this is false for NaN.
        if not 0 <= self.repeat_threshold <= 1:
            raise ConfigError("repeat_threshold", f"{self.repeat_threshold} is not within 0 to 1")

    @property
    def selects(self) -> bool:
        """Whether images are left out."""
        return bool(self.fraction or self.cap or self.folds)

    @property
    def reason(self) -> Drop:
        """Why images are left out."""
        return Drop.OVER_CAP if self.cap else Drop.OTHER_FOLD if self.folds else Drop.NOT_IN_SUBSET


def resample(
    input_dir: str, split: str, config: DerivedConfig, options: ResampleOptions, out: TextIO
) -> dict[str, Any]:
    """Writes a part of a split as a split of its own, with weights if they are wanted.

    Args:
        input_dir, split: what it is taken of.
        config: where it is written.
        options: what is taken.
        out: where the summary goes.

    Returns:
        Its manifest.

    Raises:
        ConfigError, InputError: naming what to mend.
    """
    [source] = find_sources(input_dir, [split]).values()
    if storage.join(config.output_dir, "") == storage.join(input_dir, ""):
        raise ConfigError("to", f"{input_dir} would have images in two splits; give another folder")
    plan = _make_plan(source, config, options)

    def finish(written: DerivedPlan) -> dict[str, Any]:
        if not options.repeat_threshold:
            return {}
        return {"weights": _write_weights(written, options, config.output_dir, config.split)}

    [entry] = derive([plan], lambda indexed: _select(indexed[0], options), finish, out).values()
    return entry


def add_weights(input_dir: str, split: str, config: DerivedConfig, options: ResampleOptions, out: TextIO) -> None:
    """Writes weights beside the records of a split as it is, and into its manifest.

    Args:
        input_dir, split: the split.
        config: how; its `output_dir` and `split` are those of the split.
        options: without a selection.
        out: where the summary goes.

    Raises:
        ConfigError: if there are weights already and `overwrite` is false.
    """
    [source] = find_sources(input_dir, [split]).values()
    if "weights" in source.manifest and not config.overwrite:
        raise ConfigError("repeat_threshold", f"{split} of {input_dir} has weights already; give --overwrite")
    plan = _make_plan(source, config, options)
    work = WorkFolder.of(input_dir, f"{split}-weights")
    plan = dataclasses.replace(plan, job=dataclasses.replace(plan.job, work=work))
    try:
        # What an interrupted run left could be of other records.
        work.delete()
        work.create(plan.fingerprint)
        try:
            index_sources(plan)
        except Exception as error:
            raise work.error(error) or error from None
        entry = {**source.manifest, "weights": _write_weights(plan, options, input_dir, split)}
        write_manifest(input_dir, merge_split(read_manifest(input_dir), split, entry), work.temporary)
    finally:
        work.delete()
    print(f"{split}: {entry['images']['records']:,} weights in {entry['weights']['file']}", file=out)


def _make_plan(source: Source, config: DerivedConfig, options: ResampleOptions) -> DerivedPlan:
    described = {"command": "resample", **dataclasses.asdict(options), "num_shards": config.num_shards}
    job = DerivedJob(
        split=config.split,
        output_dir=config.output_dir,
        work=WorkFolder.of(config.output_dir, config.split),
        sources=(source.split.shards,),
        by=options.by,
        reason=options.reason,
    )
    return DerivedPlan(
        config=config,
        sources=(source,),
        classes=DerivedClasses(source.label_map),
        record_config=source.manifest["config"],
        options=described,
        job=job,
        fingerprint=make_fingerprint([source], described, source.label_map),
    )


def _known_ids(plan: DerivedPlan) -> np.ndarray:
    return np.array([NO_CLASS, *sorted(item.id for item in plan.classes.label_map.items)], np.int64)


def _indexes(plan: DerivedPlan) -> Iterator[tuple[int, ShardIndex, ImageClasses]]:
    """Yields (shard, its index, its classes by code) of the only source, in hash order."""
    known_ids = _known_ids(plan)
    for _, shard in plan.input_shards:
        index = plan.job.index.read(0, shard)
        yield shard, index, code_classes(index.class_starts, index.class_ids, known_ids)


def _select(plan: DerivedPlan, options: ResampleOptions) -> None:
    """Stores which images are taken."""
    if not options.selects:
        return
    known_ids = _known_ids(plan)
    subset = None
    if options.fraction:
        counts = class_counts(plan.sources[0].manifest["classes"], CLASSES_BY[options.by], known_ids)
        subset = StratifiedSubset(parse_fraction(options.fraction), counts)
    cap = ClassCap(options.cap, len(known_ids)) if options.cap else None
    for shard, index, classes in _indexes(plan):
        if subset is not None:
            kept = subset.select(classes)
        elif cap is not None:
            kept = cap.select(classes)
        else:
            kept = (fold_of(index.hashes, options.folds) == options.fold) == (options.part == "test")
        plan.job.index.write_selection(0, shard, kept)
    for shard, image in subset.missing() if subset else ():
        kept = plan.job.index.read_selection(0, shard, plan.job.index.read_counts(0, shard).records)
        kept[image] = True
        plan.job.index.write_selection(0, shard, kept)


def _write_weights(plan: DerivedPlan, options: ResampleOptions, output_dir: str, split: str) -> dict[str, Any]:
    """Writes the weights of the images that are taken; returns what the manifest says of them."""
    known_ids = _known_ids(plan)
    images_per_class = np.zeros(len(known_ids), np.int64)
    images = 0
    for shard, index, classes in _indexes(plan):
        kept = plan.job.index.read_selection(0, shard, len(index.image_ids))
        of_image = np.repeat(np.arange(len(classes)), np.diff(classes.starts))
        images_per_class += np.bincount(classes.codes[kept[of_image]], minlength=len(known_ids))
        images += int(kept.sum())
    factors = class_factors(images_per_class, images, options.repeat_threshold)
    # Images without a class are not repeated, few as they may be.
    factors[0] = 1.0
    name = weights_file(split)
    digest = hashlib.sha256()
    size = 0

    def pieces() -> Iterator[bytes]:
        yield WEIGHTS_HEADER
        for shard, index, classes in _indexes(plan):
            kept = plan.job.index.read_selection(0, shard, len(index.image_ids))
            weights = image_factors(classes, factors)
            yield format_weights(index.image_ids[kept].tolist(), weights[kept].tolist())

    with storage.create(storage.join(output_dir, name), plan.work.temporary) as stream:
        for piece in pieces():
            stream.write(piece)
            digest.update(piece)
            size += len(piece)
    return {
        "file": name,
        "bytes": size,
        "sha256": digest.hexdigest(),
        "repeat_threshold": options.repeat_threshold,
        "by": options.by,
        "classes": [
            {"id": label_id, "images": count, "weight": round(factor, 6)}
            for label_id, count, factor in zip(
                known_ids[1:].tolist(), images_per_class[1:].tolist(), factors[1:].tolist(), strict=True
            )
        ],
    }
