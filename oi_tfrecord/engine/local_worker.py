"""Main module of a local worker process: Beam's worker, which logs little and ends with its parent."""

import contextlib
import ctypes
import logging
import os
import signal
import sys

from oi_tfrecord.engine.beam_internals import hide_known_errors
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow, without

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs Beam's worker until the runner closes its control channel."""
    share_freed_memory()
    _die_with_parent(int(sys.argv[1]))
    # A terminal interrupts all its processes, and the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Beam's worker logs its start on the root logger before it has read the log level.
    logging.disable(logging.WARNING)
    hide_known_errors()
    keep_pandas_from_arrow()
    with without():
        from apache_beam.runners.worker import sdk_worker_main

    # Beam prints its log, which the parent gets anyway, and that the parent is gone.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        sdk_worker_main.main(sys.argv[:1])


def _die_with_parent(parent: int) -> None:
    """Ends this process with its parent: a runner that is killed closes no connection, and its workers would write on.

    Args:
        parent: process id of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before the call.
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
