"""Writes a whole experiment of TensorFlow Model Garden that follows from a dataset.

Source: official/vision/configs/{retinanet,maskrcnn,image_classification}.py and official/core/config_definitions.py of
tf-models-official 2.20.
"""

import dataclasses
import math
from typing import Any

import yaml

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.keys import LABEL_KEY, PRESENT_LABEL_KEY
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts

_EPOCHS = 12
_BATCH_SIZE = 8
_SHUFFLED_RECORDS = 1000
_WARMUP_STEPS = 500
_DETECTIONS = 100
"""Detections of an image that a model gives and the COCO evaluation takes by default."""


@dataclasses.dataclass(frozen=True)
class GardenModel:
    """A model of Model Garden.

    Attributes:
        experiment: Name of the registered experiment whose values ours replace.
        image_size: Side of its images where none is chosen, in pixels.
        largest_stride: What the side of the images must be a multiple of.
        learning_rate: Highest learning rate for an image of a batch; the rate grows with the batch.
        weight_decay: Factor of the weights' squares in the loss.
    """

    experiment: str
    image_size: int
    largest_stride: int
    learning_rate: float
    weight_decay: float


MODELS = {
    "retinanet": GardenModel("retinanet_resnetfpn_coco", 640, 128, 0.32 / 256, 1e-4),
    "maskrcnn": GardenModel("maskrcnn_resnetfpn_coco", 1024, 64, 0.12 / 64, 4e-5),
    "classification": GardenModel("resnet_imagenet", 224, 32, 0.1 / 256, 1e-4),
}
"""Rates and decays are those of the registered experiments."""


@dataclasses.dataclass(frozen=True)
class GardenChoices:
    """What a user chooses of an experiment.

    Attributes:
        model: A key of MODELS.
        batch_size: Images in a step; 0 for the default.
        steps: Steps of the training; 0 for the default number of epochs.
        image_size: Side of the square images in pixels; 0 for the model's.
        gpus: GPUs; 0 trains on the CPU.
        checkpoint: Checkpoint of the backbone to start from; empty for random weights.
    """

    model: str
    batch_size: int = 0
    steps: int = 0
    image_size: int = 0
    gpus: int = 0
    checkpoint: str = ""


def format_experiment(facts: TrainingFacts, choices: GardenChoices, output_dir: str) -> str:
    """Writes an experiment as YAML for `official.vision.train --config_file`.

    Args:
        facts: The records.
        choices: The model and its size.
        output_dir: Folder of the records, for errors.

    Raises:
        ConfigError: If the image size does not fit the model.
        InputError: If the model needs what the records do not have.
    """
    values = make_experiment(facts, choices, output_dir)
    experiment = MODELS[choices.model].experiment
    head = [
        f"# {choices.model} for Model Garden (tf-models-official). Train and evaluate with:",
        f"#   python -m official.vision.train --experiment={experiment} --mode=train_and_eval \\",
        "#     --config_file=THIS_FILE --model_dir=FOLDER",
    ]
    return "\n".join(head) + "\n" + yaml.safe_dump(values, sort_keys=False, width=120)


def make_experiment(facts: TrainingFacts, choices: GardenChoices, output_dir: str) -> dict[str, Any]:
    """Returns the values of an experiment; arguments and errors are those of `format_experiment`."""
    model = MODELS[choices.model]
    size = choices.image_size or model.image_size
    if size % model.largest_stride:
        problem = f"{size} is no multiple of {model.largest_stride}, the largest stride of {choices.model}"
        raise ConfigError("image_size", problem)
    for split in facts.splits:
        _check_records(split, choices.model, output_dir)
    batch_size = choices.batch_size or _BATCH_SIZE
    task = {
        "init_checkpoint": choices.checkpoint,
        "init_checkpoint_modules": "backbone",
        "model": {"num_classes": facts.highest_id + 1, "input_size": [size, size, 3]},
        "losses": {"l2_weight_decay": model.weight_decay},
        "train_data": _data(facts.train, batch_size, is_training=True),
        "validation_data": _data(facts.evaluation, batch_size, is_training=False),
    }
    add = _add_classification if choices.model == "classification" else _add_detection
    add(task, facts, choices.model)
    return {
        "runtime": {
            "distribution_strategy": "mirrored" if choices.gpus > 1 else "one_device",
            "num_gpus": choices.gpus,
            "mixed_precision_dtype": "float32",
            "enable_xla": False,
        },
        "task": task,
        "trainer": _trainer(facts, model, batch_size, choices.steps),
    }


def _check_records(split: SplitFacts, model: str, output_dir: str) -> None:
    lacking = {
        "retinanet": (not split.has_boxes, "no boxes", "Convert without --task=classification"),
        "maskrcnn": (not split.has_masks, "no masks", "Convert with --extra_keys=masks"),
        "classification": (not split.has_labels, "no image labels", "Convert with --human_labels"),
    }
    lacks, what, remedy = lacking[model]
    if lacks:
        raise InputError(
            output_dir, f"the records of the split {split.name!r} have {what}, which {model} needs", remedy
        )


def _data(split: SplitFacts, batch_size: int, *, is_training: bool) -> dict[str, Any]:
    return {
        "input_path": split.pattern,
        "is_training": is_training,
        "global_batch_size": batch_size,
        "dtype": "float32",
        "drop_remainder": is_training,
        "shuffle_buffer_size": min(split.records, _SHUFFLED_RECORDS),
    }


def _add_detection(task: dict[str, Any], facts: TrainingFacts, model: str) -> None:
    """Adds the decoder, and limits under which all boxes of an image are learned and found."""
    for name, split in (("train_data", facts.train), ("validation_data", facts.evaluation)):
        # Model Garden turns source ids into numbers, and stops at an ImageID.
        regenerated = {"regenerate_source_id": not split.numeric_ids}
        task[name]["decoder"] = {
            "type": "label_map_decoder",
            "label_map_decoder": {"label_map": facts.label_map_csv, **regenerated},
            # The evaluation of masks reads the records once more, by this decoder whatever the type.
            "simple_decoder": regenerated,
        }
        # Its default is 100: it would neither learn nor count further boxes.
        task[name]["parser"] = {"max_num_instances": max(split.most_boxes, 1)}
    task["train_data"]["parser"] |= {"aug_rand_hflip": True, "aug_scale_min": 0.8, "aug_scale_max": 1.2}
    # Without a file of annotations the evaluation takes those of the records.
    task["annotation_file"] = ""
    most = max(facts.train.most_boxes, facts.evaluation.most_boxes, _DETECTIONS)
    task["model"]["detection_generator"] = {"max_num_detections": most}
    if model == "retinanet":
        task["max_num_eval_detections"] = most
    else:
        task["model"]["include_mask"] = True


def _add_classification(task: dict[str, Any], facts: TrainingFacts, model: str) -> None:
    """Adds which key has the classes of an image; an image has any number of them."""
    for name, split in (("train_data", facts.train), ("validation_data", facts.evaluation)):
        # Model Garden reads no confidence: it takes each label as present.
        key = PRESENT_LABEL_KEY if split.has_present_labels else LABEL_KEY
        task[name] |= {"is_multilabel": True, "label_field_key": key}


def _trainer(facts: TrainingFacts, model: GardenModel, batch_size: int, steps: int) -> dict[str, Any]:
    epoch = max(facts.train.records // batch_size, 1)
    steps = steps or _EPOCHS * epoch
    interval = min(epoch, steps)
    rate = model.learning_rate * batch_size
    warmup_steps = max(min(_WARMUP_STEPS, steps // 10), 1)
    return {
        "train_steps": steps,
        "validation_steps": math.ceil(facts.evaluation.records / batch_size),
        "steps_per_loop": interval,
        "summary_interval": interval,
        "checkpoint_interval": interval,
        "validation_interval": interval,
        "optimizer_config": {
            "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9}},
            "learning_rate": {"type": "cosine", "cosine": {"initial_learning_rate": rate, "decay_steps": steps}},
            "warmup": {"type": "linear", "linear": {"warmup_steps": warmup_steps, "warmup_learning_rate": rate / 10}},
        },
    }
