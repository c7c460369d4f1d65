"""Prints a record of a shard as text: every key, its kind, how many values it has, and the values.

  oi-tfrecord show records/validation.tfrecord-00000-of-00123
  oi-tfrecord show records/validation.tfrecord-00000-of-00123:41 --png=record.png

From a bucket (credentials as for every Beam filesystem):

  oi-tfrecord show gs://BUCKET/records/train.tfrecord-00000-of-02048:7 --png=record.png

N counts from 0. Names of classes come from label_map.pbtxt beside the shard.
"""

import sys
from collections.abc import Sequence

from oi_tfrecord.command_line import CommandParser
from oi_tfrecord.errors import OiTfrecordError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from oi_tfrecord.show import show

    parser = CommandParser("show", __doc__)
    parser.add_argument("place", metavar="SHARD[:N]", help="A shard, and the number of the record in it.")
    parser.add_argument("--png", default="", help="File for the picture with its boxes, coloured by class.")
    parser.add_argument("--label_map", default="", help="Label map; label_map.pbtxt beside the shard by default.")
    try:
        parsed = parser.parse_args(arguments)
        show(parsed.place, parsed.label_map, parsed.png, sys.stdout)
    except OiTfrecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"error: {told}. Check the path, its permissions and the space that is left.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
