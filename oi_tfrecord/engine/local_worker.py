"""Main module of a local worker process: Beam's worker, quiet, and gone when its parent is."""

import contextlib
import ctypes
import logging
import os
import signal
import sys

from oi_tfrecord import errors
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow, without

_PR_SET_PDEATHSIG = 1

_TOLD = (errors.InputError, errors.StorageError, errors.EncodedFileError)


def main() -> None:
    """Runs Beam's worker until the runner closes its control channel."""
    share_freed_memory()
    _die_with_parent(int(sys.argv[1]))
    # A terminal interrupts all its processes; the parent decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Beam's worker tells of its start on the root logger before it has read the log level.
    logging.disable(logging.WARNING)
    keep_told_errors_off_the_log()
    keep_pandas_from_arrow()
    with without():
        from apache_beam.runners.worker import sdk_worker_main

    # Beam prints what it also logs to the parent, and that the parent is gone.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        sdk_worker_main.main(sys.argv[:1])


def keep_told_errors_off_the_log() -> None:
    """Keeps Beam from logging the traceback of an error that is the user's to mend, and told at the end."""
    named = tuple(f"{kind.__module__}.{kind.__qualname__}: " for kind in _TOLD)

    def wanted(record: logging.LogRecord) -> bool:
        # Beam logs it as an exception in one place, as the text of a traceback in another.
        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage()
        return not isinstance(error, _TOLD) and not any(name in text for name in named)

    for name in ("runners.common", "runners.worker.sdk_worker", "runners.portability.local_job_service"):
        logging.getLogger(f"apache_beam.{name}").addFilter(wanted)
    # What an engine tells of its workers is logged there.
    logging.getLogger().addFilter(wanted)


def _die_with_parent(parent: int) -> None:
    # A runner that is killed outright closes nothing, and its workers would go on writing.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have gone before.
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
