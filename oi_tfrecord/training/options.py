"""The options of `training_config`, and which of them go together."""

import dataclasses

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

FRAMEWORKS = ("object_detection", "garden")
"""TensorFlow's Object Detection API, and TensorFlow Model Garden (official.vision)."""

PIPELINE_MODELS = ("ssd", "faster_rcnn", "center_net", "context_rcnn")
"""Models of protos/model.proto with num_classes; context_rcnn is a faster_rcnn."""

GARDEN_MODELS = ("retinanet", "maskrcnn", "classification")

MASK_METRICS = ("oid_challenge_segmentation_metrics", "coco_mask_metrics")
"""Metrics that compare masks, so that the records need them."""

METRICS = ("oid_V2_detection_metrics", "oid_challenge_detection_metrics", "coco_detection_metrics", *MASK_METRICS)

_COUNT = Range(0, 1 << 31)


@dataclasses.dataclass(frozen=True)
class TrainingConfigOptions:
    """The options of `training_config`."""

    output_dir: str = option(REQUIRED, "Folder that `oi-tfrecord convert` wrote.", Group.INPUTS, positional="DIR")
    model: str = option(
        "",
        "Kind of the model: ssd to context_rcnn of the Object Detection API (needed without pipeline), retinanet to "
        "classification of Model Garden.",
        Group.RECORDS,
        Choice((*PIPELINE_MODELS, *GARDEN_MODELS)),
    )
    metrics: str = option(
        METRICS[0], "Metrics of the Object Detection API's evaluation.", Group.RECORDS, Choice(METRICS)
    )
    train: str = option("train", "Split to train with.", Group.RECORDS)
    eval: str = option("validation", "Split to evaluate with.", Group.RECORDS)
    folder: str = option("", "Folder of the records on the training machine; DIR by default.", Group.OUTPUT)
    pipeline: str = option(
        "",
        "pipeline.config of the Object Detection API, such as one of its model zoo, that is written with the values of "
        "the records.",
        Group.INPUTS,
    )
    framework: str = option(FRAMEWORKS[0], "Program that trains.", Group.RECORDS, Choice(FRAMEWORKS))
    batch_size: int = option(0, "Images in a step; by default those of the pipeline, or 8.", Group.RECORDS, _COUNT)
    steps: int = option(
        0, "Steps of the training; by default those of the pipeline, or 12 epochs.", Group.RECORDS, _COUNT
    )
    image_size: int = option(
        0, "Side of Model Garden's square images, in pixels; 640, 1024 or 224 by default.", Group.RECORDS, _COUNT
    )
    gpus: int = option(0, "GPUs of Model Garden; 0 trains on the CPU.", Group.RECORDS, _COUNT)
    checkpoint: str = option("", "Checkpoint to start from; random weights by default.", Group.INPUTS)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)
        if self.framework == "garden":
            self._check_model(GARDEN_MODELS)
            self._refuse(("pipeline",), "is for the Object Detection API, not for Model Garden")
            return
        self._check_model(("", *PIPELINE_MODELS) if self.pipeline else PIPELINE_MODELS)
        self._refuse(("image_size", "gpus"), "is for Model Garden (--framework=garden)")
        if not self.pipeline:
            self._refuse(("batch_size", "steps", "checkpoint"), "needs the whole file: give --pipeline")

    def _check_model(self, models: tuple[str, ...]) -> None:
        if self.model not in models:
            known = ", ".join(filter(None, models))
            if not self.model:
                raise ConfigError("model", f"is needed; give --model: {known}")
            problem = f"{self.model!r} is no model of the framework {self.framework}: {known}"
            raise ConfigError("model", problem + nearest(self.model, models))

    def _refuse(self, names: tuple[str, ...], problem: str) -> None:
        for name in names:
            if getattr(self, name):
                raise ConfigError(name, problem)
