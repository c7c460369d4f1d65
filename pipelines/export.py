"""Exports records as tables; the same as `oi-tfrecord export`, for schedulers that start a Python file."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
