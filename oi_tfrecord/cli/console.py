"""Where a command prints: results on standard output, progress, warnings and errors on standard error."""

import dataclasses
import logging
import sys
from typing import TextIO

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
    """The two streams of a command.

    Attributes:
        options: what is printed.
    """

    options: PrintOptions = PrintOptions()

    @property
    def progress(self) -> TextIO | None:
        """Where progress is printed; None if it is not."""
        return None if self.options.quiet else sys.stderr

    def print_data(self, text: str) -> None:
        """Prints what the user asked for, such as a record; `--quiet` does not silence it.

        Args:
            text: printed as it is, without a further newline.
        """
        sys.stdout.write(text)
        sys.stdout.flush()

    def print_summary(self, line: str) -> None:
        """Prints a line about what was done on standard output, except with `--quiet`."""
        if not self.options.quiet:
            print(line)

    def print_note(self, line: str) -> None:
        """Prints a warning or a line about progress on standard error, except with `--quiet`."""
        if not self.options.quiet:
            print(line, file=sys.stderr)

    def print_error(self, line: str) -> None:
        """Prints `error: ` and a line on standard error."""
        print(f"error: {line}", file=sys.stderr)

    def start_log(self) -> None:
        """Shows the log of libraries with `--verbose`."""
        if self.options.verbose:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
