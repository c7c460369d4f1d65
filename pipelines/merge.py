"""Merges datasets; the same as `oi-tfrecord merge`, for schedulers that start a Python file."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["merge", *sys.argv[1:]]))
