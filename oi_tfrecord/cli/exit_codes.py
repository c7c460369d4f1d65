"""Exit codes of all commands, and their meanings for the help and the documents."""

import enum
from collections.abc import Mapping


class ExitCode(enum.IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    REJECTED = 2
    LOST = 3
    WORKER_DIED = 70
    INTERRUPTED = 130
    """128 + SIGINT, as shells have it."""


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "The command did its work.",
    ExitCode.FAILED: (
        "A flag, a configuration key, a file or the storage must be corrected, as one line on standard error says. For "
        "verify also: the dataset has faults."
    ),
    ExitCode.REJECTED: "More rows or images were rejected, or failed to download, than --max_rejects allows.",
    ExitCode.LOST: "Rows or records were lost or doubled; this is a fault of the program or of the runner.",
    ExitCode.WORKER_DIED: "A worker process died, for example of lack of memory. Run the same command again to resume.",
    ExitCode.INTERRUPTED: "The keyboard interrupted the command. Run the same command again to resume.",
}

RECORDS_LOST = "records were lost; this is a fault of oi_tfrecord, please report it"
"""The error line of LOST where records are copied."""
