"""The line of a terminal or a log that says how far a run is, and what a run calls to have it printed."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

from oi_tfrecord.engine.terminal_text import escape_controls
from oi_tfrecord.storage.secrets import hide_secrets

LOG_SECONDS = 10.0
"""Time between the lines of a log."""

REMOTE_SECONDS = 30.0
"""Least time between two looks at remote storage, each of which costs requests."""

_GAP = "  "


class Status(Protocol):
    """Says how far a run is.

    Attributes:
        seconds: least time between two questions.
    """

    seconds: float

    def parts(self) -> Sequence[str]:
        """Returns what describes the run now, the most important first; called from another thread than the run's."""


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
    """A `Progress` that prints; in a notebook, a bar shows how far a run is."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None):
        """Prints nothing yet.

        Args:
            out: stream of a command's output; standard output by default.
            err: stream of what a command says about itself; standard error by default.
        """
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._shows_bars = err is None

    def plan(self, line: str) -> None:
        """Prints the line to `out`."""
        print(escape_controls(hide_secrets(line)), file=self._out, flush=True)

    def note(self, line: str) -> None:
        """Prints the line to `err`."""
        print(escape_controls(hide_secrets(line)), file=self._err)

    def watch(self, status: Status) -> contextlib.AbstractContextManager[object]:
        """Returns a block during which `err` shows a progress line, or a notebook a bar."""
        if self._shows_bars and "IPython" in sys.modules:
            from oi_tfrecord.engine.notebook import NotebookBar, is_notebook

            if is_notebook():
                return NotebookBar(status)
        return ProgressLine(status, self._err)


class ProgressLine(threading.Thread):
    """Prints a status until it is stopped.

    A terminal has one line, which is overwritten and is gone at the end. A log has a line at the start, one every ten
    seconds, and one at the end, each with the time since the start.
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
        self._seconds = status.seconds if self._is_terminal else max(log_seconds, status.seconds)
        self._begun = time.monotonic()
        self._has_printed = False
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
        if not self._is_terminal:
            self._print()
        elif self._has_printed:
            self._out.write("\r\x1b[2K")
            self._out.flush()

    def _print(self) -> None:
        parts = [escape_controls(part) for part in self._status.parts()]
        if not parts:
            return
        self._has_printed = True
        # A line that wraps could not be overwritten.
        line = f"\r\x1b[2K{fit_line(parts, _columns(self._out) - 1)}" if self._is_terminal else self._log_line(parts)
        self._out.write(line)
        self._out.flush()

    def _log_line(self, parts: Sequence[str]) -> str:
        return f"[{format_clock(time.monotonic() - self._begun)}] {_GAP.join(parts)}\n"


def fit_line(parts: Sequence[str], columns: int) -> str:
    """Returns as many parts, from the first on, as fit a line; of the first part at least what fits.

    Args:
        parts: texts.
        columns: characters of the line, at least 1.
    """
    line = parts[0][:columns] if parts else ""
    for part in parts[1:]:
        if len(line) + len(_GAP) + len(part) > columns:
            break
        line += _GAP + part
    return line


def format_clock(seconds: float) -> str:
    """Returns a time as `1:05` or `2:00:07`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
