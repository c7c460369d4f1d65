"""`python -m oi_tfrecord COMMAND ...` is `oi-tfrecord COMMAND ...`."""

import os
import sys

if __name__ == "__main__":
    try:
        from oi_tfrecord.cli.main import main
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr, flush=True)
        os._exit(130)
    sys.exit(main())
