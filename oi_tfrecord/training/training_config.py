"""Writes the settings of a training program that follow from the records."""

import dataclasses

from oi_tfrecord import storage
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.classes import decode_text
from oi_tfrecord.training.garden_experiment import GardenChoices, format_experiment
from oi_tfrecord.training.options import MASK_METRICS, TrainingConfigOptions
from oi_tfrecord.training.pipeline_file import PipelineChanges, fill_pipeline
from oi_tfrecord.training.pipeline_parts import format_parts
from oi_tfrecord.training.split_facts import TrainingFacts, find_facts
from oi_tfrecord.training.warnings import warn_of_pipeline, warn_of_records


def training_config(options: TrainingConfigOptions) -> str:
    """Writes the settings of a training program that follow from the records.

    Args:
        options: The records, the program, the model and the metrics.

    Returns:
        For the Object Detection API the whole `options.pipeline` as protobuf text; without a pipeline, its parts
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader`. For Model Garden a whole experiment as
        YAML. A comment for each warning comes first.

    Raises:
        InputError: If a split, its manifest or the label map is missing, the pipeline cannot be used, or the model
            needs what the records do not have.
        ConfigError: If the pipeline has another model than `options.model`.
    """
    settings = make_settings(options)
    return "".join(f"# Warning: {warning}\n" for warning in settings.warnings) + settings.text


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training program.

    Attributes:
        text: The settings in the program's format.
        warnings: What the user should know of the records.
    """

    text: str
    warnings: tuple[str, ...]


def make_settings(options: TrainingConfigOptions) -> TrainingSettings:
    """Makes the settings of a training program that follow from the records; see `training_config`."""
    storage.use_options(options.beam_arguments)
    facts = find_facts(options.output_dir, options.train, options.eval, options.folder)
    format_settings = _format_experiment if options.framework == "garden" else _format_pipeline
    text = format_settings(facts, options)
    model_warnings = warn_of_pipeline(text) if options.pipeline else ()
    return TrainingSettings(text, (*warn_of_records(facts, options), *model_warnings))


def _format_experiment(facts: TrainingFacts, options: TrainingConfigOptions) -> str:
    choices = GardenChoices(
        model=options.model,
        batch_size=options.batch_size,
        steps=options.steps,
        image_size=options.image_size,
        gpus=options.gpus,
        checkpoint=options.checkpoint,
    )
    return format_experiment(facts, choices, options.output_dir)


def _format_pipeline(facts: TrainingFacts, options: TrainingConfigOptions) -> str:
    for split in facts.splits:
        if not split.has_boxes:
            problem = f"the records of the split {split.name!r} have no boxes, which a detector needs"
            raise InputError(options.output_dir, problem, "Convert without --task=classification")
        if options.metrics in MASK_METRICS and not split.has_masks:
            problem = f"{options.metrics} compares masks, and the records of the split {split.name!r} have none"
            raise InputError(options.output_dir, problem, "Convert with --extra_keys=masks, or give other --metrics")
    if not options.pipeline:
        return format_parts(facts, options.model, options.metrics)
    text = decode_text(storage.read(options.pipeline), options.pipeline)
    changes = PipelineChanges(options.model, options.metrics, options.checkpoint, options.batch_size, options.steps)
    return fill_pipeline(text, options.pipeline, facts, changes)
