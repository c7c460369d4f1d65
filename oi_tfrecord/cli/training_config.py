"""`oi-tfrecord training-config`: writes the parts of a pipeline.config that follow from the records."""

import dataclasses
import pathlib

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.dataset.training_config import TrainingConfigOptions, make_training_parts
from oi_tfrecord.settings.options import Group, option


@dataclasses.dataclass(frozen=True)
class _FileOptions:
    """Where the text goes."""

    output: str = option("", "File to write; standard output by default.", Group.OUTPUT)


def run(parsed: ParsedFlags, console: Console) -> int:
    """Prints or writes the parts."""
    parts = make_training_parts(parsed.make(TrainingConfigOptions))
    console.print_warnings(parts.warnings)
    if path := parsed.make(_FileOptions).output:
        pathlib.Path(path).write_text(parts.text, encoding="utf-8")
    else:
        console.print_data(parts.text)
    return 0


COMMAND = Command(
    name="training-config",
    examples=(
        Example("For a model of the kind SSD", "oi-tfrecord training-config records --model=ssd --output=parts.config"),
        Example(
            "Where the records lie in a bucket for training",
            "oi-tfrecord training-config records --model=faster_rcnn --metrics=oid_challenge_detection_metrics "
            "--folder=gs://BUCKET/records",
        ),
    ),
    options=(TrainingConfigOptions, _FileOptions),
    run=run,
    details=(
        "The command writes `model` (its num_classes), `train_input_reader`, `eval_config` and `eval_input_reader`. "
        "Put them into the pipeline.config of the model in place of the parts of the same names.",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
)
