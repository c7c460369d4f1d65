"""Prints a record of a shard as text: every key, its kind, how many values it has, and the values.

  oi-tfrecord show records/validation.tfrecord-00000-of-00123
  oi-tfrecord show records/validation.tfrecord-00000-of-00123:41 --png=record.png

From a bucket (credentials as for every Beam filesystem):

  oi-tfrecord show gs://BUCKET/records/train.tfrecord-00000-of-02048:7 --png=record.png

N counts from 0. Names of classes come from label_map.pbtxt beside the shard.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.cli.command_line import CommandParser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.explore.show import ShowOptions, show

    parser = CommandParser("show", __doc__, "Flags of Apache Beam for its filesystems are taken too.")
    parser.add_argument("place", metavar="SHARD[:N]", help="A shard, and the number of the record in it.")
    parser.add_argument("--png", default="", help="File for the picture with its boxes, coloured by class.")
    parser.add_argument("--label_map", default="", help="Label map; label_map.pbtxt beside the shard by default.")

    def command() -> int:
        parsed, rest = parser.parse_with_beam_flags(arguments)
        print(show(ShowOptions(parsed.place, parsed.png, parsed.label_map, rest)))
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
