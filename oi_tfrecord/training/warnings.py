"""What a user should know of records before training with them."""

from oi_tfrecord.training.options import TrainingConfigOptions
from oi_tfrecord.training.pipeline_file import takes_context
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts


def warn_of_records(facts: TrainingFacts, options: TrainingConfigOptions) -> tuple[str, ...]:
    """Returns warnings of records that a program learns or scores otherwise than their user may expect.

    Args:
        facts: The records.
        options: The program, the model and the metrics.
    """
    if options.framework != "garden":
        return (*_warn_of_expansion(facts), *_warn_of_evaluation(facts.evaluation, options.metrics))
    if options.model == "classification":
        return tuple(
            _warn_of_absent(split) for split in facts.splits if split.absent_labels and not split.has_present_labels
        )
    return ()


def warn_of_pipeline(text: str) -> tuple[str, ...]:
    """Returns warnings of what the model of a pipeline.config needs beside the records.

    Args:
        text: The whole file.
    """
    if not takes_context(text):
        return ()
    return (
        "the model is a Context R-CNN, and the records have no context features; train with the records that the "
        "API's dataset_tools/context_rcnn makes of these, or remove context_config and load_context_features",
    )


def _warn_of_expansion(facts: TrainingFacts) -> list[str]:
    """Returns warnings of splits in which a class stands for different boxes than in the other split."""
    expanded = {split.name: split.is_expanded or facts.reader_expands(split) for split in facts.splits}
    warnings = [
        f"the records of {name} have masks, which the API's reader cannot expand by the relatives in the label map; "
        "convert the split with --hierarchy_use=expand"
        for name, split in {split.name: split for split in facts.splits}.items()
        if facts.has_relatives and split.has_masks and not split.is_expanded
    ]
    if len(set(expanded.values())) == 2:
        first, second = sorted(expanded, key=lambda name: not expanded[name])
        warnings.append(
            f"{first} is expanded by a hierarchy, and {second} is not: a class has the boxes of its subclasses in the "
            "one only; convert both with --hierarchy, or both without"
        )
    return warnings


def _warn_of_evaluation(split: SplitFacts, metrics: str) -> list[str]:
    """Returns warnings of an evaluation split that scores otherwise than the official protocol."""
    if not metrics.startswith("oid_"):
        return []
    if not split.has_labels:
        return [
            f"{split.name} has no human-verified labels, so {metrics} takes every class as verified in every "
            "image and counts detections that the protocol ignores; convert the split with its file of human labels"
        ]
    if not split.labels_left_out and not split.may_leave_out_labels:
        return []
    counted = f" ({split.labels_left_out:,} labels)" if split.labels_left_out else ""
    return [
        f"{split.name} leaves out images with verified labels and no box{counted}, so false positives "
        f"there do not count and {metrics} comes out too high; convert the split with --select=labelled"
    ]


def _warn_of_absent(split: SplitFacts) -> str:
    return (
        f"{split.absent_labels:,} labels of {split.name} say that a class is not there, and Model Garden, which does "
        "not read their confidence, learns the class as there; convert the split with --extra_keys=present_labels"
    )
