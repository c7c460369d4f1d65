"""Main module of a local worker process: Beam's worker, quiet, and gone when its parent is."""

import ctypes
import logging
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs Beam's worker until the runner closes its control channel."""
    _die_with_parent()
    # Beam's worker tells of its start on the root logger before it has read the log level.
    logging.disable(logging.WARNING)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _die_with_parent() -> None:
    # A runner that is killed outright closes nothing, and its workers would go on writing.
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
