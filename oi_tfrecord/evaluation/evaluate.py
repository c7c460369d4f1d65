"""Scores a file of detections against the records of a split."""

import dataclasses
import posixpath
from collections.abc import Iterator, Mapping

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import list_dataset_files
from oi_tfrecord.dataset.ground_truth import GroundTruth, read_ground_truths
from oi_tfrecord.dataset.label_map import require_label_map
from oi_tfrecord.dataset.manifest import is_expanded
from oi_tfrecord.dataset.splits import Split, find_splits
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import CountedStatus
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.evaluation.coco import CocoScore
from oi_tfrecord.evaluation.detections import Detections, ImageDetections, boxes_of_masks, read_detections
from oi_tfrecord.evaluation.open_images import PROTOCOLS, OpenImagesScore
from oi_tfrecord.evaluation.result import ClassScore, EvaluateResult, format_class_scores
from oi_tfrecord.evaluation.truth import ClassRelatives, ScoredTruth, expand_detections, expand_truth, to_scored
from oi_tfrecord.openimages.hierarchy import parse_hierarchy
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.settings.allowed_values import Choice
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

METRICS = (*PROTOCOLS, "coco")


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """What `evaluate` scores: the flags of the command."""

    output_dir: str = option(REQUIRED, "Folder of the records.", Group.INPUTS, positional="DIR")
    detections: str = option(REQUIRED, "File of the detections, JSON or CSV.", Group.INPUTS)
    split: str = option("validation", "Split to score against.", Group.INPUTS)
    metrics: str = option(METRICS[0], "Protocol of the score.", Group.RECORDS, Choice(METRICS))
    masks: bool = option(False, "Score masks instead of boxes.", Group.RECORDS)
    hierarchy: str = option(
        "", "Class hierarchy (JSON) by which boxes and labels are expanded, if the records are not.", Group.CLASSES
    )
    expand_detections: bool = option(
        False, "Count each detection also for the classes above its class; needs hierarchy.", Group.CLASSES
    )
    output: str = option("", "CSV file to write with the average precision of each class.", Group.OUTPUT)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)
        if self.expand_detections and not self.hierarchy:
            raise ConfigError("expand_detections", "needs the classes above each class; give --hierarchy=FILE")


def evaluate(options: EvaluateOptions, *, progress: Progress | None = None) -> EvaluateResult:
    """Scores a file of detections against the records of a split, and writes the CSV if one is named.

    Args:
        options: the records, the detections and the protocol.
        progress: shows how far the run is; silent by default.

    Returns:
        The score.

    Raises:
        ConfigError: if an option is wrong, or hotcoco is not installed for masks or COCO.
        InputError: naming the file and the row that cannot be used.
    """
    accept_beam_arguments(options.beam_arguments)
    [split] = find_splits(options.output_dir, [options.split]).values()
    if options.output:
        given = [options.output_dir, options.detections, options.hierarchy]
        storage.refuse_inputs("output", options.output, [*given, *list_dataset_files(options.output_dir)])
    label_map = require_label_map(options.output_dir)
    relatives = _read_relatives(options, label_map)
    detections = read_detections(options.detections, label_map)
    if options.masks and len(detections.columns.labels) and not detections.columns.masks:
        raise InputError(options.detections, "the detections have no masks", "Leave --masks out, or give masks")
    counts = _Counts(label_map, len(detections.images))
    scorer = _make_scorer(options, label_map)
    status = CountedStatus(split.expected_records, "images scored")
    with (progress or NoProgress()).watch(status):
        for truth in status.count(read_ground_truths(split, label_map)):
            index = detections.find(truth.names)
            of_image = _detections_of(detections, index, truth, options, relatives)
            if relatives is not None and not is_expanded(split.config):
                truth = expand_truth(truth, relatives)
            scored = to_scored(truth, options.masks)
            counts.add(index, of_image, scored)
            scorer.add(_Image(-1 if index is None else index, of_image, scored, truth.width, truth.height))
    result = _summarize(options, split, detections, counts, scorer.finish(), label_map)
    if options.output:
        storage.make_folder(posixpath.dirname(options.output) or ".")
        storage.write_output("output", options.output, format_class_scores(result).encode())
    return result


def _read_relatives(options: EvaluateOptions, label_map: LabelMap) -> ClassRelatives | None:
    if not options.hierarchy:
        return None
    hierarchy = parse_hierarchy(storage.read(options.hierarchy), options.hierarchy)
    return ClassRelatives.of(hierarchy, label_map)


def _detections_of(
    detections: Detections,
    index: int | None,
    truth: GroundTruth,
    options: EvaluateOptions,
    relatives: ClassRelatives | None,
) -> ImageDetections:
    if index is None:
        return detections.columns.take(np.zeros(0, np.int64))
    found = detections.of_image(index, truth.width, truth.height)
    if options.masks:
        found = boxes_of_masks(found)
    return expand_detections(found, relatives) if options.expand_detections and relatives else found


@dataclasses.dataclass(frozen=True)
class _Image:
    """An image to score; `rank` is its place among the images with detections, -1 for none."""

    rank: int
    detections: ImageDetections
    truth: ScoredTruth
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class _Scores:
    """The summary by name, and the average precision by label map id."""

    summary: Mapping[str, float]
    by_class: Mapping[int, float]
    not_scored: int = 0


class _OpenImagesScorer:
    def __init__(self, options: EvaluateOptions):
        self._score = OpenImagesScore(PROTOCOLS[options.metrics], options.masks)

    def add(self, image: _Image) -> None:
        self._score.add(image.rank, image.detections, image.truth)

    def finish(self) -> _Scores:
        by_class = self._score.average_precisions()
        mean = float(np.mean(list(by_class.values()))) if by_class else float("nan")
        return _Scores({"mAP@0.5IOU": mean}, by_class, self._score.not_scored)


class _CocoScorer:
    def __init__(self, options: EvaluateOptions, label_map: LabelMap):
        self._path = options.output_dir
        self._score = CocoScore(label_map, options.masks)

    def add(self, image: _Image) -> None:
        if not image.width or not image.height:
            problem = "records have no size of the image, which the metrics of COCO need"
            raise InputError(self._path, problem, "Score with --metrics=oid_V2, or convert again")
        self._score.add(image.detections, image.truth, image.width, image.height)

    def finish(self) -> _Scores:
        return _Scores(*self._score.finish())


def _make_scorer(options: EvaluateOptions, label_map: LabelMap) -> _OpenImagesScorer | _CocoScorer:
    return _CocoScorer(options, label_map) if options.metrics == "coco" else _OpenImagesScorer(options)


class _Counts:
    """Counts images, labels, masks, objects and detections, for the result and its warnings."""

    def __init__(self, label_map: LabelMap, images_with_detections: int):
        size = 1 + max(label_map.id_of.values(), default=0)
        self.images = 0
        self.verified = 0
        self.masks = 0
        self.objects = np.zeros(size, np.int64)
        self.detections = np.zeros(size, np.int64)
        self.is_seen = np.zeros(images_with_detections, bool)

    def add(self, index: int | None, detections: ImageDetections, truth: ScoredTruth) -> None:
        self.images += 1
        self.verified += len(truth.verified)
        self.masks += len(truth.present_masks)
        np.add.at(self.objects, truth.labels, 1)
        np.add.at(self.detections, detections.labels, 1)
        if index is not None:
            self.is_seen[index] = True


def _summarize(
    options: EvaluateOptions,
    split: Split,
    detections: Detections,
    counts: _Counts,
    scores: _Scores,
    label_map: LabelMap,
) -> EvaluateResult:
    sizes = np.diff(detections.offsets)
    unknown = {detections.images[place]: int(sizes[place]) for place in np.flatnonzero(~counts.is_seen)}
    classes = tuple(
        ClassScore(
            item.id,
            item.name,
            item.display_name,
            scores.by_class.get(item.id),
            int(counts.objects[item.id]),
            int(counts.detections[item.id]),
        )
        for item in label_map.items
    )
    return EvaluateResult(
        options.metrics,
        options.split,
        scores.summary,
        classes,
        counts.images,
        int(counts.detections.sum()),
        scores.not_scored,
        unknown,
        detections.unknown_classes,
        tuple(_warn(options, split, counts, label_map)),
    )


def _warn(options: EvaluateOptions, split: Split, counts: _Counts, label_map: LabelMap) -> Iterator[str]:
    config = split.config
    if options.metrics != "coco" and config.get("select") == "boxed":
        yield (
            f"the split {split.name} holds images with a box only, so false positives on other labelled images do not "
            "count; convert it with --select=labelled"
        )
    if options.metrics in PROTOCOLS and PROTOCOLS[options.metrics].only_verified and not counts.verified:
        yield "the records have no human-verified labels, so only detections of classes with a box in the image count"
    if options.masks and not counts.masks:
        yield "the records have no masks, so there is no object to find; convert with --extra_keys=masks"
    if options.masks and counts.masks and config.get("boxes_without_mask") == "drop":
        yield (
            "boxes without a mask are not in the records, so detections on them count as false positives; convert with "
            "--boxes_without_mask=empty"
        )
    if options.metrics != "coco" and not options.hierarchy and any(item.ancestor_ids for item in label_map.items):
        yield (
            "the label map names the classes above each class, by which the Object Detection API expands the records; "
            "give --hierarchy=FILE to score by them as well"
        )
    if options.hierarchy and is_expanded(config):
        yield "the records are expanded by the hierarchy, so they are not expanded again"
