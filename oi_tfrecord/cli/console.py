"""Where a command prints: results on standard output, progress, warnings and errors on standard error."""

import dataclasses
import json
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from oi_tfrecord.engine.progress_line import NoProgress, PrintedProgress, Progress
from oi_tfrecord.engine.terminal_text import escape_controls
from oi_tfrecord.settings.allowed_values import Choice
from oi_tfrecord.settings.options import Group, check_values, option
from oi_tfrecord.storage.secrets import hide_secrets, without_secrets

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


_LONGEST = 1 << 14
"""Characters of a line that are printed at most; a message may quote a file that is one line of megabytes."""


@dataclasses.dataclass(frozen=True)
class PrintOptions:
    """The flags of every command."""

    quiet: bool = option(False, "Print errors and requested data only: no progress, warnings or summary.", Group.OUTPUT)
    verbose: bool = option(
        False, "Also print the log of Apache Beam and other libraries, and the traceback of an error.", Group.OUTPUT
    )


@dataclasses.dataclass(frozen=True)
class SummaryOptions:
    """The flag of commands that end with a summary."""

    format: str = option(
        "text",
        "Format of the summary on standard output: lines for a person, or one JSON value for a program.",
        Group.OUTPUT,
        Choice(("text", "json")),
    )

    def __post_init__(self) -> None:
        check_values(self)


@dataclasses.dataclass(frozen=True)
class Console:
    """The streams of a command, and which lines they get.

    Attributes:
        options: what is printed.
        out: for results; standard output by default.
        err: for progress, warnings and errors; standard error by default.
        summary: the format of summaries.
    """

    options: PrintOptions = PrintOptions()
    out: TextIO = dataclasses.field(default_factory=lambda: sys.stdout)
    err: TextIO = dataclasses.field(default_factory=lambda: sys.stderr)
    summary: SummaryOptions = SummaryOptions()

    @property
    def progress(self) -> Progress:
        """What long runs report to; with `--quiet` nothing is printed."""
        if self.options.quiet:
            return NoProgress()
        # With --format=json, standard output must hold nothing but the JSON value.
        return PrintedProgress(self.err if self.summary.format == "json" else self.out, self.err)

    def print_data(self, text: str) -> None:
        """Prints what the user asked for, such as a record; `--quiet` does not silence it.

        Args:
            text: printed without a further newline.
        """
        self.out.write(escape_controls(text))
        self.out.flush()

    def print_result(self, lines: Iterable[str], result: "DataclassInstance") -> None:
        """Prints what was done on standard output: as lines, or with `--format=json` the result itself.

        Args:
            lines: the result for a person; `--quiet` silences them.
            result: a result whose fields are values of JSON, paths, or dataclasses of these.
        """
        if self.summary.format == "json":
            self.print_data(
                json.dumps(without_secrets(dataclasses.asdict(result)), default=lambda value: hide_secrets(str(value)))
                + "\n"
            )
        else:
            self.print_summary(lines)

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
    return escape_controls(hide_secrets(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."))
