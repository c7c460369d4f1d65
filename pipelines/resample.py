"""Makes a subset of a split; the same as `oi-tfrecord resample`, for schedulers that start a Python file."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["resample", *sys.argv[1:]]))
