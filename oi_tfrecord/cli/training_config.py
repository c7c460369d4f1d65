r"""Writes the parts of an Object Detection API pipeline.config that follow from the records.

  oi-tfrecord training-config records --model=ssd > parts.config
  oi-tfrecord training-config records --model=faster_rcnn --metrics=oid_challenge_detection_metrics \
    --train=train --eval=validation --output=parts.config

Where the records are for training, if elsewhere than here:

  oi-tfrecord training-config records --model=ssd --folder=gs://BUCKET/records

It writes `model` (its num_classes), `train_input_reader`, `eval_config` and `eval_input_reader`; put them into
the pipeline.config of the model in the place of those that it has.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.cli.command_line import CommandParser, run_command
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.splits import find_splits, read_label_map, require_manifest
from oi_tfrecord.dataset.training_config import METRICS, MODELS, format_training_config, training_input
from oi_tfrecord.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = CommandParser("training-config", __doc__, "Flags of Apache Beam for its filesystems are taken too.")
    parser.add_argument("output_dir", help="Folder that `oi-tfrecord convert` wrote.")
    parser.add_argument("--model", required=True, help="Kind of the model: " + ", ".join(MODELS) + ".")
    parser.add_argument("--metrics", default=METRICS[0], help="One of " + ", ".join(METRICS) + ".")
    parser.add_argument("--train", default="train", help="Split to train with.")
    parser.add_argument("--eval", default="validation", help="Split to evaluate with.")
    parser.add_argument("--folder", help="Folder of the records where the training runs; by default output_dir.")
    parser.add_argument("--output", help="File to write; by default the parts are printed.")

    def command() -> int:
        options, _ = parser.parse_with_beam_flags(arguments)
        text = _format(options)
        if options.output:
            pathlib.Path(options.output).write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)
        return 0

    return run_command(command)


def _format(options: argparse.Namespace) -> str:
    splits = find_splits(options.output_dir, [options.train, options.eval])
    folder = options.folder or storage.join(storage.working_folder(), options.output_dir)
    inputs = [
        training_input(folder, name, require_manifest(options.output_dir, splits[name]))
        for name in (options.train, options.eval)
    ]
    label_map = read_label_map(options.output_dir)
    if label_map is None:
        raise InputError(options.output_dir, f"there is no {LABEL_MAP_FILE}", "Convert a split again with --overwrite")
    path = storage.join(folder, LABEL_MAP_FILE)
    return format_training_config(inputs[0], inputs[1], label_map, path, options.model, options.metrics)


if __name__ == "__main__":
    sys.exit(main())
