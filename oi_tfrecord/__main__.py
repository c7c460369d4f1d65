"""`python -m oi_tfrecord COMMAND ...` is `oi-tfrecord COMMAND ...`."""

import sys

from oi_tfrecord.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
