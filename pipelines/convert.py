"""Converts a split; the same as `oi-tfrecord convert`, for schedulers that start a Python file."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
