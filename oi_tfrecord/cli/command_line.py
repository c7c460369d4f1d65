"""Runs a command from its command line to its exit code."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from oi_tfrecord import storage
from oi_tfrecord.cli.command import BeamFlags, Command
from oi_tfrecord.cli.console import Console, PrintOptions
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags, parse_flags
from oi_tfrecord.cli.help import format_help
from oi_tfrecord.engine.beam_flags import check_beam_arguments
from oi_tfrecord.engine.dataflow_flags import check_job
from oi_tfrecord.errors import ConfigError, OiTfrecordError

RECORDS_LOST = "error: records were lost; this is a fault of oi_tfrecord, please report it"
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
        console = Console(parsed.make(PrintOptions))
        console.start_log()
        return command.run(parsed, console)
    except OiTfrecordError as error:
        return _fail(console, str(error))
    except OSError as error:
        # A path of the user may be a folder, closed to them, or on a full disk.
        problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(console, f"{problem}. Check the path, its permissions and the space that is left.")
    except KeyboardInterrupt:
        console.print_error(command.when_interrupted)
        return ExitCode.INTERRUPTED


def _fail(console: Console, problem: str) -> int:
    """Prints an error, with `--verbose` after its traceback; returns the exit code."""
    if console.options.verbose:
        traceback.print_exc()
    console.print_error(problem)
    return ExitCode.FAILED


INTERRUPTED = 130
"""Exit code of shells for a command that the keyboard interrupted."""


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are like those of the other commands, not argparse's own exit code."""

    def __init__(self, command: str, description: str | None, epilog: str = ""):
        """Initializes the instance.

        Args:
            command: its name, as in `oi-tfrecord NAME`.
            description: the help, printed as it stands.
            epilog: what follows the flags in the help.
        """
        super().__init__(
            prog=f"oi-tfrecord {command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            epilog=epilog,
        )

    def parse_with_beam_flags(self, arguments: Sequence[str] | None) -> tuple[argparse.Namespace, tuple[str, ...]]:
        """Returns the command's own flags, and those that Beam owns as they are given, which files are reached by then.

        Raises:
            ConfigError: for a bad value, a flag that neither has, or one that the runner misses.
        """
        parsed, rest = self.parse_known_args(arguments)
        check_beam_arguments(rest, [name.lstrip("-") for action in self._actions for name in action.option_strings])
        check_job(rest)
        storage.use_options(rest)
        return parsed, tuple(rest)

    def error(self, message: str) -> NoReturn:
        raise ConfigError("flags", message)


def run_command(command: Callable[[], int], when_interrupted: str = "interrupted") -> int:
    """Runs a command and ends what a user can mend in one line on standard error.

    Args:
        command: returns its exit code.
        when_interrupted: what is said when the keyboard interrupts it.

    Returns:
        The command's exit code, 1 for an error of a flag, file or disk, or INTERRUPTED.
    """
    try:
        return command()
    except OiTfrecordError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # What a user gave may be a folder, closed to them, or on a full disk.
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"error: {told}. Check the path, its permissions and the space that is left.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"error: {when_interrupted}", file=sys.stderr)
        return INTERRUPTED
