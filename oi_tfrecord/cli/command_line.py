"""Runs a command from its command line to its exit code."""

import sys
import traceback
from collections.abc import Sequence

from oi_tfrecord.cli.command import BeamFlags, Command
from oi_tfrecord.cli.console import Console, PrintOptions, SummaryOptions
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags, parse_flags
from oi_tfrecord.cli.help import format_help
from oi_tfrecord.errors import OiTfrecordError

HELP_FLAGS = ("-h", "--help", "-help")


def parse_command_line(command: Command, arguments: Sequence[str]) -> ParsedFlags:
    """Parses the command line of a command.

    Args:
        command: the command.
        arguments: the words after the name of the command.

    Raises:
        ConfigError: for an unknown flag, naming the nearest known one, or a bad value.
    """
    return parse_flags((*command.options, PrintOptions), arguments, command.beam_flags is not BeamFlags.NONE)


def run_command_line(command: Command, arguments: Sequence[str] | None = None) -> int:
    """Runs a command; an error that the user can correct is one line on standard error.

    Args:
        command: the command.
        arguments: the words after the name of the command; those of this process by default.

    Returns:
        The exit code, one of `ExitCode`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(argument in HELP_FLAGS for argument in arguments):
        print(format_help(command), end="")
        return ExitCode.DONE
    console = Console()
    try:
        parsed = parse_command_line(command, arguments)
        summary = parsed.make(SummaryOptions) if SummaryOptions in parsed.given else SummaryOptions()
        console = Console(parsed.make(PrintOptions), summary=summary)
        console.start_log()
        return command.run(parsed, console)
    except OiTfrecordError as error:
        return _fail(console, str(error))
    except OSError as error:
        # A path of the user may be a folder, closed to them, or on a full disk.
        problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(console, f"{problem}. Check the path, its permissions and the space that is left.")
    except MemoryError:
        return _fail(console, "the memory is not enough. Give fewer --workers, or run where there is more memory.")
    except KeyboardInterrupt:
        console.print_error(command.when_interrupted)
        return ExitCode.INTERRUPTED


def _fail(console: Console, problem: str) -> int:
    """Prints an error, with `--verbose` after its traceback; returns the exit code."""
    if console.options.verbose:
        traceback.print_exc()
    console.print_error(problem)
    return ExitCode.FAILED
