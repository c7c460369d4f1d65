"""Downloads the images of a split; the same as `oi-tfrecord download`, for schedulers that start a Python file."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["download", *sys.argv[1:]]))
