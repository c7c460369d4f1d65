"""Checks a dataset; the same as `oi-tfrecord verify`, for schedulers that start a Python file."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["verify", *sys.argv[1:]]))
