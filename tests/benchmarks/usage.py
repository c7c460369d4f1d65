"""Runs a program and prints what the run took: time, processor time, memory."""

import dataclasses
import os
import pathlib
import subprocess
import time
from collections.abc import Mapping, Sequence

_LOG_TAIL = 2000


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a program took.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: processor time of it and of the processes it waited for.
        peak_bytes: largest resident set of one of these processes. It is not below that of the process
            that started it, which must be small (getrusage(2), ru_maxrss across exec).
        out: what it printed on standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    out: str


def run_measured(
    command: Sequence[str], log_file: pathlib.Path, environment: Mapping[str, str], folder: pathlib.Path
) -> Usage:
    """Runs a program to its end.

    Args:
        command: the program and its arguments.
        log_file: gets its standard error.
        environment: its environment variables.
        folder: where it runs.

    Raises:
        RuntimeError: if it fails, with the end of its standard error.
    """
    with open(log_file, "wb") as log, open(log_file.with_suffix(".out"), "w+b") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=log, env=dict(environment), cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read().decode()
    if process.returncode:
        tail = log_file.read_text(errors="replace")[-_LOG_TAIL:]
        raise RuntimeError(f"exit code {process.returncode} of {' '.join(command)}\n{tail}")
    # Linux counts ru_maxrss in KiB.
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, printed)
