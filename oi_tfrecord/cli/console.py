"""Where a command prints: results on standard output, progress, warnings and errors on standard error."""

import dataclasses
import logging
import sys
from collections.abc import Iterable
from typing import TextIO

from oi_tfrecord.engine.progress_line import NoProgress, PrintedProgress, Progress
from oi_tfrecord.engine.terminal_text import escape_controls, hide_secrets
from oi_tfrecord.settings.options import Group, option


@dataclasses.dataclass(frozen=True)
class PrintOptions:
    """The flags of every command."""

    quiet: bool = option(False, "Print errors and requested data only: no progress, warnings or summary.", Group.OUTPUT)
    verbose: bool = option(
        False, "Also print the log of Apache Beam and other libraries, and the traceback of an error.", Group.OUTPUT
    )


@dataclasses.dataclass(frozen=True)
class Console:
    """The streams of a command, and which lines they get.

    Attributes:
        options: what is printed.
        out: for results; standard output by default.
        err: for progress, warnings and errors; standard error by default.
    """

    options: PrintOptions = PrintOptions()
    out: TextIO = dataclasses.field(default_factory=lambda: sys.stdout)
    err: TextIO = dataclasses.field(default_factory=lambda: sys.stderr)

    @property
    def progress(self) -> Progress:
        """What long runs report to; with `--quiet` nothing is printed."""
        return NoProgress() if self.options.quiet else PrintedProgress(self.out, self.err)

    def print_data(self, text: str) -> None:
        """Prints what the user asked for, such as a record; `--quiet` does not silence it.

        Args:
            text: printed without a further newline.
        """
        self.out.write(escape_controls(text))
        self.out.flush()

    def print_summary(self, lines: Iterable[str]) -> None:
        """Prints lines about what was done on standard output, except with `--quiet`."""
        if not self.options.quiet:
            print(*map(_printable, lines), sep="\n", file=self.out, flush=True)

    def print_warnings(self, warnings: Iterable[str]) -> None:
        """Prints `warning: ` and each warning on standard error, except with `--quiet`."""
        if not self.options.quiet:
            for warning in warnings:
                print(f"warning: {_printable(warning)}", file=self.err)

    def print_error(self, line: str) -> None:
        """Prints `error: ` and a line on standard error."""
        print(f"error: {_printable(line)}", file=self.err)

    def start_log(self) -> None:
        """Shows the log of libraries with `--verbose`."""
        if self.options.verbose:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


def _printable(line: str) -> str:
    return escape_controls(hide_secrets(line))
