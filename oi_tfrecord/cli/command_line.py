"""What commands share: a parser whose errors are like ours, and how a command ends on an error."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from oi_tfrecord import storage
from oi_tfrecord.engine.beam_flags import check_beam_arguments
from oi_tfrecord.engine.dataflow_flags import check_job
from oi_tfrecord.errors import ConfigError, OiTfrecordError

RECORDS_LOST = "error: records were lost; this is a fault of oi_tfrecord, please report it"

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
