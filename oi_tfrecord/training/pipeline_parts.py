"""The parts of the Object Detection API's pipeline.config that follow from a dataset.

Source: protos/{pipeline,input_reader,eval,model}.proto of the Object Detection API.
"""

from collections.abc import Mapping

from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts
from oi_tfrecord.training.text_proto import Path, quote, set_value

MAX_READERS = 64


def format_parts(facts: TrainingFacts, model: str, metrics: str) -> str:
    """Writes the parts as protobuf text; they replace the same parts of a pipeline.config.

    Args:
        facts: The records.
        model: One of PIPELINE_MODELS, whose num_classes is set.
        metrics: One of METRICS.

    Returns:
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader`.
    """
    kind = "faster_rcnn" if model == "context_rcnn" else model
    values: dict[Path, str] = {
        ("model", kind, "num_classes"): str(facts.highest_id),
        **_prefix("train_input_reader", reader_values(facts, facts.train, {"shuffle": "true"})),
        ("eval_config", "metrics_set"): quote(metrics),
        ("eval_config", "batch_size"): "1",
        **_prefix("eval_input_reader", reader_values(facts, facts.evaluation, {"shuffle": "false", "num_epochs": "1"})),
    }
    text = ""
    for path, value in values.items():
        text = set_value(text, path, value)
    return text


def reader_values(facts: TrainingFacts, split: SplitFacts, order: Mapping[str, str]) -> dict[Path, str]:
    """Returns the values of an input reader by their paths in the reader.

    Args:
        facts: The records.
        split: The split that the reader reads.
        order: Fields that say in which order the records are read.
    """
    return {
        ("label_map_path",): quote(facts.label_map_path),
        **{(name,): value for name, value in order.items()},
        ("num_readers",): str(min(split.shards, MAX_READERS)),
        # The API's default is 100, and it would neither learn nor count further boxes.
        ("max_number_of_boxes",): str(facts.boxes_read(split)),
        **({("load_instance_masks",): "true", ("mask_type",): "PNG_MASKS"} if split.has_masks else {}),
        **({("expand_labels_hierarchy",): "true"} if facts.reader_expands(split) else {}),
        ("tf_record_input_reader", "input_path"): quote(split.pattern),
    }


def _prefix(name: str, values: Mapping[Path, str]) -> dict[Path, str]:
    return {(name, *path): value for path, value in values.items()}
