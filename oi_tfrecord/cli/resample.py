r"""Makes a subset or a fold of a split, or weights for training with it, from finished records.

A tenth of each class, at least one image of each class that has one:

  oi-tfrecord resample records --split=train --to=small --fraction=0.1

The first 1,000 images of each class; the third of five folds, and the rest:

  oi-tfrecord resample records --split=train --to=capped --cap=1000
  oi-tfrecord resample records --split=train --to=folds --as=train_2 --folds=5 --fold=2 --part=train
  oi-tfrecord resample records --split=train --to=folds --as=test_2 --folds=5 --fold=2 --part=test

LVIS repeat factors as weights-train.csv beside the records, which stay as they are:

  oi-tfrecord resample records --split=train --repeat_threshold=0.001

On Dataflow:

  oi-tfrecord resample gs://BUCKET/records --split=train --to=gs://BUCKET/small --fraction=0.1 \
    --runner=DataflowRunner --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp \
    --setup_file=./setup.py

Of each class the same images are taken whatever the number of shards. Splits of one folder must not share images
(`oi-tfrecord verify` tells of it), so give subsets that overlap folders of their own.

The same records and options give the same bytes, whatever the number of workers. A run that was interrupted goes on
when the same command is run again. Exit code 0: done; 1: a flag or file is to blame; 3: records were lost.
"""

import argparse
import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import RECORDS_LOST, CommandParser, run_command
from oi_tfrecord.engine.progress_line import PrintedProgress


def make_parser() -> CommandParser:
    """Returns the parser of the command's own flags."""
    parser = CommandParser("resample", __doc__, "All flags of Apache Beam are taken too.")
    add = parser.add_argument
    add("output_dir", metavar="OUTPUT_DIR", help="Folder that `oi-tfrecord convert` wrote, on any Beam filesystem.")
    add("--split", required=True, help="Split to take images of.")
    add("--to", default="", help="Folder to write to; without it only weights can be made, beside the records.")
    add("--as", default="", dest="as_", help="Name of the new split; that of the old one by default.")
    add("--fraction", default="", help="Share of the images of each class, such as 0.1 or 1/3.")
    add("--cap", type=int, default=0, help="Images per class: one is kept while any of its classes has fewer.")
    add("--folds", type=int, default=0, help="Number of folds by a hash of the ImageID.")
    add("--fold", type=int, default=-1, help="Which fold, from 0.")
    add("--part", default="train", help="Of a fold: test is the fold, train all others (default).")
    add(
        "--repeat_threshold",
        type=float,
        default=0.0,
        help="Write weights: share of images below which a class is rare.",
    )
    add("--by", default="boxes", help="Classes of an image: of its boxes (default), or its positive image labels.")
    add("--num_shards", type=int, default=0, help="Number of shards; 0 chooses by the size.")
    add("--workers", type=int, default=0, help="Shards that this machine works on at once, a core each; 0 chooses.")
    add("--overwrite", action="store_true", help="Replace a split or weights that are there.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = make_parser()

    def command() -> int:
        parsed, rest = parser.parse_with_beam_flags(arguments)
        return _run(parsed, rest)

    return run_command(command, "interrupted; run the same command again to go on")


def _run(parsed: argparse.Namespace, beam_arguments: tuple[str, ...]) -> int:
    from oi_tfrecord.derive.resample import ResampleOptions, describe_resampled, resample

    options = ResampleOptions(**vars(parsed), beam_arguments=beam_arguments)
    written = resample(options, PrintedProgress())
    print(describe_resampled(options, written))
    if not written.balanced:
        print(RECORDS_LOST, file=sys.stderr)
    return 0 if written.balanced else 3


if __name__ == "__main__":
    sys.exit(main())
