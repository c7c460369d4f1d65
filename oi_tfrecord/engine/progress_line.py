"""The line of a terminal or a log that says how far a run is, and what a run calls to have it printed."""

import contextlib
import os
import sys
import threading
from typing import Protocol, TextIO

from oi_tfrecord.engine.terminal_text import escape_controls, hide_secrets

LOG_SECONDS = 30.0
"""Time between the lines of a log."""


class Status(Protocol):
    """Says how far a run is.

    Attributes:
        seconds: least time between two questions.
    """

    seconds: float

    def text(self) -> str:
        """Returns one line that describes the run now; called from another thread than the run's."""


class Progress(Protocol):
    """Takes what a long run has to say while it runs: the functions of this package print nothing themselves."""

    def plan(self, line: str) -> None:
        """Takes a line about the work ahead, which belongs to the output of a command."""

    def note(self, line: str) -> None:
        """Takes a line about the run, as that it resumes an earlier one."""

    def watch(self, status: Status) -> contextlib.AbstractContextManager[object]:
        """Returns a block during which `status` describes the run."""


class NoProgress:
    """A `Progress` that prints nothing."""

    def plan(self, line: str) -> None:
        """Ignores the line."""

    def note(self, line: str) -> None:
        """Ignores the line."""

    def watch(self, status: Status) -> contextlib.AbstractContextManager[object]:
        """Returns an empty block."""
        return contextlib.nullcontext()


class PrintedProgress:
    """A `Progress` that prints."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None):
        """Prints nothing yet.

        Args:
            out: stream of a command's output; standard output by default.
            err: stream of what a command says about itself; standard error by default.
        """
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def plan(self, line: str) -> None:
        """Prints the line to `out`."""
        print(escape_controls(line), file=self._out, flush=True)

    def note(self, line: str) -> None:
        """Prints the line to `err`."""
        print(escape_controls(hide_secrets(line)), file=self._err)

    def watch(self, status: Status) -> contextlib.AbstractContextManager[object]:
        """Returns a block during which `err` shows a progress line."""
        return ProgressLine(status, self._err)


class ProgressLine(threading.Thread):
    """Prints a status until it is stopped.

    A terminal has one line, which is overwritten and is gone at the end. A log has a line at the start, one every half
    minute, and one at the end.
    """

    def __init__(self, status: Status, out: TextIO | None = None, log_seconds: float = LOG_SECONDS):
        """Prints nothing before `start`.

        Args:
            status: describes the run.
            out: where to print; standard error by default.
            log_seconds: time between the lines of a log.
        """
        super().__init__(daemon=True)
        self._status = status
        self._out = out or sys.stderr
        self._is_terminal = self._out.isatty()
        self._seconds = status.seconds if self._is_terminal else log_seconds
        self._stop_event = threading.Event()

    def __enter__(self) -> "ProgressLine":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self) -> None:
        """Prints until `stop` is called."""
        self._print()
        while not self._stop_event.wait(self._seconds):
            self._print()

    def stop(self) -> None:
        """Clears the line of a terminal, or adds the last line of a log."""
        self._stop_event.set()
        self.join()
        if self._is_terminal:
            self._out.write("\r\x1b[2K")
            self._out.flush()
        else:
            self._print()

    def _print(self) -> None:
        text = escape_controls(self._status.text())
        # A line that wraps could not be overwritten.
        shown = f"\r\x1b[2K{text[: _columns(self._out) - 1]}" if self._is_terminal else text + "\n"
        self._out.write(shown)
        self._out.flush()


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
