"""How a run of this machine ends: by an interrupt at once, and without its temporary folders."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import NoReturn

INTERRUPTED = 130
"""Exit code of shells for a command that the keyboard interrupted."""


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Ends the process at once when the keyboard interrupts the block.

    An exception would become an error of the step that it happens to hit, and threads would work on to their end.
    """

    def end(number: int, frame: object) -> None:
        end_run("interrupted", INTERRUPTED)

    # A command that was started in the background may have to ignore interrupts.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def temporary_folder(folder: str = "") -> Iterator[str]:
    """Yields a folder that is deleted however the run ends, unless it is killed.

    Args:
        folder: its path; empty makes a folder on this machine.
    """
    made = folder or tempfile.mkdtemp(prefix="oi_tfrecord-")
    _folders.append(made)
    try:
        yield made
    finally:
        _folders.remove(made)
        shutil.rmtree(made, ignore_errors=True)


_folders: list[str] = []
"""Folders to delete when the process ends in the middle of a run."""


def end_run(problem: str, code: int) -> NoReturn:
    """Ends the process without waiting for its threads, and deletes its temporary folders.

    Args:
        problem: for the user, in a line.
        code: exit code.
    """
    # The progress line may be on the terminal.
    clear = "\r\x1b[2K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}error: {problem}. Run the same command again to resume.\n")
    sys.stderr.flush()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)
