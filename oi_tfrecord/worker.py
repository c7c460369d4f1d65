"""Main module of a local worker process: Beam's worker, quiet, and gone when its parent is."""

import ctypes
import logging
import os
import signal
import sys

from oi_tfrecord.errors import InputError

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Runs Beam's worker until the runner closes its control channel."""
    _die_with_parent()
    # Beam's worker tells of its start on the root logger before it has read the log level.
    logging.disable(logging.WARNING)
    keep_input_errors_off_the_log()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def keep_input_errors_off_the_log() -> None:
    """Keeps Beam from logging the traceback of an InputError: it is the user's to mend, and told at the end."""

    def wanted(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], InputError))

    for name in ("runners.common", "runners.worker.sdk_worker", "runners.portability.local_job_service"):
        logging.getLogger(f"apache_beam.{name}").addFilter(wanted)


def _die_with_parent() -> None:
    # A runner that is killed outright closes nothing, and its workers would go on writing.
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main()
