"""`oi-tfrecord training-config`: writes the settings of a training program that follow from the records."""

import dataclasses

from oi_tfrecord import storage
from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.dataset.file_names import list_dataset_files
from oi_tfrecord.settings.options import Group, check_values, option
from oi_tfrecord.training.options import TrainingConfigOptions
from oi_tfrecord.training.training_config import make_settings


@dataclasses.dataclass(frozen=True)
class _FileOptions:
    """Where the text goes."""

    output: str = option("", "File to write; standard output by default.", Group.OUTPUT)

    def __post_init__(self) -> None:
        check_values(self)


def run(parsed: ParsedFlags, console: Console) -> int:
    """Prints or writes the settings."""
    options = parsed.make(TrainingConfigOptions)
    path = parsed.make(_FileOptions).output
    if path:
        given = [options.output_dir, options.pipeline, options.checkpoint]
        storage.refuse_inputs("output", path, [*given, *list_dataset_files(options.output_dir)])
    settings = make_settings(options)
    console.print_warnings(settings.warnings)
    if path:
        storage.write_text(path, settings.text.encode())
    else:
        console.print_data(settings.text)
    return 0


COMMAND = Command(
    name="training-config",
    examples=(
        Example(
            "A whole pipeline.config from a file of the Object Detection API's model zoo",
            "oi-tfrecord training-config records --pipeline=ssd_mobilenet_v2.config --output=pipeline.config",
        ),
        Example(
            "A whole experiment for Model Garden",
            "oi-tfrecord training-config records --framework=garden --model=retinanet --output=retinanet.yaml",
        ),
        Example(
            "Where the records lie in a bucket for training",
            "oi-tfrecord training-config records --model=faster_rcnn --metrics=oid_challenge_detection_metrics "
            "--folder=gs://BUCKET/records",
        ),
    ),
    options=(TrainingConfigOptions, _FileOptions),
    run=run,
    details=(
        "With --pipeline the command writes this file with the number of classes, both input readers, the metrics, and "
        "room for all boxes of the fullest image in place of the template's; paths of the template are left out, and "
        "everything else stays. Without --pipeline it writes the parts `model` (its num_classes), "
        "`train_input_reader`, `eval_config` and `eval_input_reader` for a file of your own.",
        "With --framework=garden it writes a whole experiment of TensorFlow Model Garden as YAML. No checkpoint is "
        "fetched unless --checkpoint names one.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
)
