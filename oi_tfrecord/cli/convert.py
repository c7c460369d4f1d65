r"""Converts one split of Open Images to TFRecords.

On this machine:

  oi-tfrecord convert --config=configs/v3.yaml --split=validation --data_dir=2017_11 \
    --images='validation/{image_id}.jpg' --output_dir=records --num_shards=16

On Dataflow:

  oi-tfrecord convert --config=configs/v3.yaml --split=train --data_dir=gs://BUCKET/2017_11 \
    --images='gs://BUCKET/train/{image_id}.jpg' --output_dir=gs://BUCKET/records --num_shards=2048 \
    --runner_config=dataflow --project=PROJECT --region=REGION \
    --temp_location=gs://BUCKET/tmp --setup_file=./setup.py
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import run_command
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(argument in ("-h", "--help", "-help") for argument in arguments):
        from oi_tfrecord.conversion.flags import describe_convert_flags

        print(f"{__doc__}\nFlags (each is also a key of the configuration file):\n{describe_convert_flags()}")
        print("All flags of Apache Beam are taken too.")
        return 0
    share_freed_memory()
    keep_pandas_from_arrow()
    from oi_tfrecord.conversion.command import convert

    return run_command(
        lambda: convert(arguments),
        "interrupted; a job that was handed to a remote runner goes on there: cancel it before you run this again",
    )


if __name__ == "__main__":
    sys.exit(main())
