"""oi-tfrecord: Open Images to TensorFlow training records.

  oi-tfrecord browse ...     shows a dataset in a web browser
  oi-tfrecord convert ...    converts a split
  oi-tfrecord download ...   downloads the images of a split by URL
  oi-tfrecord export ...     exports records as Parquet or into PostgreSQL
  oi-tfrecord merge ...      merges datasets under one label map
  oi-tfrecord report ...     writes a page of charts and counts of a dataset
  oi-tfrecord resample ...   makes a subset or a fold of a split, or weights for it
  oi-tfrecord sample ...     generates a small dataset to try it on
  oi-tfrecord show ...       prints a record, draws its boxes
  oi-tfrecord verify ...     checks a dataset
  oi-tfrecord training-config ...   writes what a pipeline.config needs to know of the records

`oi-tfrecord COMMAND --help` prints the flags and full examples.
"""

import importlib
import sys
from collections.abc import Sequence

from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.errors import nearest

COMMANDS = (
    "browse",
    "convert",
    "download",
    "export",
    "merge",
    "report",
    "resample",
    "sample",
    "show",
    "verify",
    "training-config",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `oi-tfrecord COMMAND ...`; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"error: no command {command!r}{nearest(command, COMMANDS)}", file=sys.stderr)
        return 1
    share_freed_memory()
    return int(importlib.import_module(f"oi_tfrecord.cli.{command.replace('-', '_')}").main(rest))


if __name__ == "__main__":
    sys.exit(main())
