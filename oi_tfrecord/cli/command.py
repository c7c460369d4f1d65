"""A command: its options, its help, and the function that runs it."""

import dataclasses
import enum
from collections.abc import Callable

from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags


class BeamFlags(enum.StrEnum):
    """Which flags of Apache Beam a command takes; the values are sentences of the help."""

    NONE = ""
    FILESYSTEMS = "Flags of Apache Beam for its filesystems, such as --hdfs_host, are also taken."
    ALL = "All flags of Apache Beam, such as --runner and --temp_location, are also taken."


@dataclasses.dataclass(frozen=True)
class Example:
    """A complete command line.

    Attributes:
        title: what the example does; a clause without a full stop.
        command: words separated by single spaces, to be run by a shell.
    """

    title: str
    command: str


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of `oi-tfrecord`.

    Attributes:
        name: as in `oi-tfrecord NAME`; commands.py says what the command does.
        examples: one or more.
        options: dataclasses whose fields are the flags and the arguments of the command.
        run: called with the parsed flags; returns the exit code.
        details: paragraphs of the help after the flags.
        beam_flags: which flags of Beam are taken.
        exit_codes: codes that the command may end with, in their order.
        when_interrupted: printed when the keyboard interrupts the command.
    """

    name: str
    examples: tuple[Example, ...]
    options: tuple[type, ...]
    run: Callable[[ParsedFlags, Console], int]
    details: tuple[str, ...] = ()
    beam_flags: BeamFlags = BeamFlags.NONE
    exit_codes: tuple[ExitCode, ...] = (ExitCode.DONE, ExitCode.FAILED, ExitCode.INTERRUPTED)
    when_interrupted: str = "interrupted"
