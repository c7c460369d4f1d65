"""Writes a whole pipeline.config of the Object Detection API: a file of its model zoo with the values of the records.

Source: protos/{pipeline,input_reader,eval,train,model,ssd,faster_rcnn,center_net,post_processing}.proto.
"""

import dataclasses
import functools
import re
from collections.abc import Callable

from google.protobuf import empty_pb2

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.label_map_file import parse_text_proto
from oi_tfrecord.training import text_proto
from oi_tfrecord.training.pipeline_parts import reader_values
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts
from oi_tfrecord.training.text_proto import Path, quote, remove, set_value

PLACEHOLDER = "PATH_TO_BE_CONFIGURED"

_CHECKPOINT_FIELDS = (
    "fine_tune_checkpoint",
    "fine_tune_checkpoint_type",
    "fine_tune_checkpoint_version",
    "from_detection_checkpoint",
    "load_all_detection_checkpoint_vars",
)

_SSD_LIMITS: Path = ("model", "ssd", "post_processing", "batch_non_max_suppression")
_RCNN_LIMITS: Path = ("model", "faster_rcnn", "second_stage_post_processing", "batch_non_max_suppression")

_LIMITS: dict[str, dict[Path, int]] = {
    "ssd": {(*_SSD_LIMITS, "max_detections_per_class"): 100, (*_SSD_LIMITS, "max_total_detections"): 100},
    "faster_rcnn": {
        ("model", "faster_rcnn", "first_stage_max_proposals"): 300,
        (*_RCNN_LIMITS, "max_detections_per_class"): 100,
        (*_RCNN_LIMITS, "max_total_detections"): 100,
    },
    "center_net": {("model", "center_net", "object_center_params", "max_box_predictions"): 100},
}
"""Kind of a model to the fields that limit its detections in an image, each with its default."""

_MASK_FIELDS: tuple[Path, ...] = (
    ("model", "ssd", "mask_head_config"),
    ("model", "center_net", "mask_estimation_task"),
    ("model", "center_net", "deepmac_mask_estimation"),
)
"""Messages that make a model predict masks."""

_PREDICTS_MASKS: Path = (
    "model", "faster_rcnn", "second_stage_box_predictor", "mask_rcnn_box_predictor", "predict_instance_masks"
)  # fmt: skip

_CENTER_NET: Path = ("model", "center_net")

_UNKNOWN_TASKS: tuple[Path, ...] = (
    (*_CENTER_NET, "keypoint_estimation_task"),
    (*_CENTER_NET, "densepose_estimation_task"),
    (*_CENTER_NET, "track_estimation_task"),
    (*_CENTER_NET, "temporal_offset_task"),
    ("model", "ssd", "box_coder", "keypoint_box_coder"),
)
"""Messages that make a model learn what Open Images has no annotations of."""

_CONTEXT: Path = ("model", "faster_rcnn", "context_config")
"""Message that makes a Faster R-CNN a Context R-CNN."""

_CONTEXT_FIELDS = ("load_context_features", "load_context_image_ids")

_READER_FIELDS = (
    "external_input_reader",
    "sample_from_datasets_weights",
    "sample_1_of_n_examples",
    "input_type",
    "frame_index",
    "load_instance_masks",
    "mask_type",
    "expand_labels_hierarchy",
    "load_multiclass_scores",
    "load_dense_pose",
    "load_track_id",
    "load_keypoint_depth_features",
    "num_keypoints",
    "keypoint_type_weight",
    "use_keypoint_label_map",
    "num_additional_channels",
)
"""Fields of a reader that say which records are read and what these hold: those of the template's records."""

_EVALUATION_FIELDS = (
    "parameterized_metric",
    "super_categories",
    "keypoint_edge",
    "export_path",
    "visualization_export_dir",
    "eval_master",
)
"""Fields of an evaluation that name the template's classes, folders and machine."""

_WARMUP_STEPS = 10_000
"""Default of `warmup_steps` in protos/optimizer.proto."""

_INSTRUCTIONS = re.compile(
    rf"(?:^[ \t]*#[^\n]*Users should configure[^\n]*\n(?:[ \t]*#[^\n]*\n)*?)?^[ \t]*#[^\n]*{PLACEHOLDER}[^\n]*\n"
    r"(?:[ \t]*#[ \t]*(?:should be )?configured\.?[ \t]*\r?\n)?",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True)
class PipelineChanges:
    """What a pipeline.config gets beside the values of the records.

    Attributes:
        model: Kind of the model that the file must have; empty for any.
        metrics: Metrics of the evaluation.
        checkpoint: Checkpoint to start from; empty for random weights.
        batch_size: Images in a step; 0 keeps the file's.
        steps: Steps of the training; 0 keeps the file's.
    """

    model: str
    metrics: str
    checkpoint: str = ""
    batch_size: int = 0
    steps: int = 0


def fill_pipeline(text: str, path: str, facts: TrainingFacts, changes: PipelineChanges) -> str:
    """Returns a pipeline.config with the values of the records in place of the template's.

    Args:
        text: The template, protobuf text of a TrainEvalPipelineConfig.
        path: Name of its file, for errors.
        facts: The records.
        changes: What else the file gets.

    Raises:
        ConfigError: If the file has another model than `changes` names.
        InputError: If the text is no pipeline.config, or the model needs what the records do not have.
    """
    parse_text_proto(text, empty_pb2.Empty(), path)
    kind = _find_kind(text, path)
    _check_model(text, path, kind, facts, changes.model)
    steps: list[Callable[[str], str]] = [
        lambda text: _INSTRUCTIONS.sub("", text),
        functools.partial(_fill_model, kind=kind, facts=facts),
        functools.partial(_fill_training, facts=facts, changes=changes),
        functools.partial(_fill_reader, name="train_input_reader", facts=facts, split=facts.train),
        functools.partial(_fill_evaluation, facts=facts, metrics=changes.metrics),
        lambda text: text_proto.keep_first_message(text, ("eval_input_reader",)),
        functools.partial(_fill_reader, name="eval_input_reader", facts=facts, split=facts.evaluation),
    ]
    for step in steps:
        text = step(text)
    if lines := text_proto.find_lines(text, PLACEHOLDER):
        line = text.split("\n")[lines[0] - 1].strip()
        raise InputError(path, f"the records have no value for `{line}`", "Replace or remove this line of the file")
    return text


def _find_kind(text: str, path: str) -> str:
    for kind in _LIMITS:
        if text_proto.has(text, ("model", kind)):
            return kind
    known = ", ".join(_LIMITS)
    raise InputError(path, f"there is no model of a kind that is known ({known})", "Give a file of the API's model zoo")


def _check_model(text: str, path: str, kind: str, facts: TrainingFacts, wanted: str) -> None:
    """Checks that a model is the wanted one, and that the records have what it learns."""
    if wanted and wanted != kind and not (wanted == "context_rcnn" and kind == "faster_rcnn"):
        raise ConfigError("model", f"is {wanted!r}, and the model of {path} is {kind!r}; leave out --model")
    for task in _UNKNOWN_TASKS:
        if text_proto.has(text, task):
            remedy = f"Give the file of a model without {task[-1]}"
            raise InputError(path, f"the model learns {task[-1]}, of which the records have no annotations", remedy)
    for split in facts.splits:
        if _predicts_masks(text) and not split.has_masks:
            problem = f"the model predicts masks, and the records of the split {split.name!r} have none"
            raise InputError(path, problem, "Convert with --extra_keys=masks, or give the file of another model")


def takes_context(text: str) -> bool:
    """Returns whether the model of a pipeline.config takes features of other images, as Context R-CNN does."""
    return text_proto.has(text, _CONTEXT)


def _predicts_masks(text: str) -> bool:
    flags = text_proto.find_values(text, _PREDICTS_MASKS)
    return flags[-1:] in (["true"], ["True"], ["t"], ["1"]) or any(text_proto.has(text, path) for path in _MASK_FIELDS)


def _fill_model(text: str, kind: str, facts: TrainingFacts) -> str:
    """Sets the number of classes, and raises limits under which not all boxes of an image could be found."""
    text = set_value(text, ("model", kind, "num_classes"), str(facts.highest_id))
    text = remove(text, (*_CENTER_NET, "keypoint_label_map_path"))
    most = max(facts.boxes_read(facts.train), facts.boxes_read(facts.evaluation))
    for path, default in _LIMITS[kind].items():
        if most > _number(text, path, default):
            text = set_value(text, path, str(most))
    return text


def _fill_training(text: str, facts: TrainingFacts, changes: PipelineChanges) -> str:
    """Sets where training starts and how long it takes."""
    if changes.checkpoint:
        text = set_value(text, ("train_config", "fine_tune_checkpoint"), quote(changes.checkpoint))
        for name, value in (("fine_tune_checkpoint_type", '"detection"'), ("fine_tune_checkpoint_version", "V2")):
            if not text_proto.has(text, ("train_config", name)):
                text = set_value(text, ("train_config", name), value)
    else:
        for name in _CHECKPOINT_FIELDS:
            text = remove(text, ("train_config", name))
    if text_proto.has(text, ("train_config", "max_number_of_boxes")):
        text = set_value(text, ("train_config", "max_number_of_boxes"), str(facts.boxes_read(facts.train)))
    if changes.batch_size:
        text = set_value(text, ("train_config", "batch_size"), str(changes.batch_size))
    return _set_steps(text, changes.steps) if changes.steps else text


def _set_steps(text: str, steps: int) -> str:
    """Sets the steps, and ends a cosine schedule of the learning rate with them."""
    text = set_value(text, ("train_config", "num_steps"), str(steps))
    for optimizer in ("momentum_optimizer", "adam_optimizer", "rms_prop_optimizer"):
        schedule = ("train_config", "optimizer", optimizer, "learning_rate", "cosine_decay_learning_rate")
        if text_proto.has(text, schedule):
            text = set_value(text, (*schedule, "total_steps"), str(steps))
            # The API stops at a warm-up that is longer than the training.
            if _number(text, (*schedule, "warmup_steps"), _WARMUP_STEPS) > steps:
                text = set_value(text, (*schedule, "warmup_steps"), str(steps // 10))
    return text


def _number(text: str, path: Path, default: int) -> int:
    values = text_proto.find_values(text, path)
    return int(values[-1], 0) if values else default


def _fill_reader(text: str, name: str, facts: TrainingFacts, split: SplitFacts) -> str:
    """Has an input reader read a split, with its other settings as they are."""
    context_fields = () if takes_context(text) else _CONTEXT_FIELDS
    for removed in (*_READER_FIELDS, *context_fields):
        text = remove(text, (name, removed))
    order = {"shuffle": "true"} if name == "train_input_reader" else {"shuffle": "false", "num_epochs": "1"}
    for path, value in reader_values(facts, split, order).items():
        text = set_value(text, (name, *path), value)
    return text


def _fill_evaluation(text: str, facts: TrainingFacts, metrics: str) -> str:
    """Sets the metrics, and the number of images where the file has one."""
    for removed in _EVALUATION_FIELDS:
        text = remove(text, ("eval_config", removed))
    text = set_value(text, ("eval_config", "metrics_set"), quote(metrics))
    if text_proto.has(text, ("eval_config", "num_examples")):
        text = set_value(text, ("eval_config", "num_examples"), str(facts.evaluation.records))
    if not text_proto.has(text, ("eval_config", "batch_size")):
        text = set_value(text, ("eval_config", "batch_size"), "1")
    return text
