"""`oi-tfrecord COMMAND ...`: runs a command, or prints help or the version."""

import os
import sys

TYPE_CHECKING = False
"""The constant of `typing`, whose import takes so long that an interruption falls into it before `main` runs."""

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Runs `oi-tfrecord`.

    Args:
        arguments: the words after `oi-tfrecord`; those of this process by default.

    Returns:
        The exit code, one of `ExitCode`.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        # While modules are imported; later the command says more.
        print("error: interrupted", file=sys.stderr)
        if arguments is None:
            # CPython ends a process by the signal, not by the exit code, if it interrupted an `exec()`.
            sys.stderr.flush()
            os._exit(130)
        return 130


def _run(arguments: "Sequence[str] | None") -> int:
    # Imported here, so that an interruption of the import ends in one line, too.
    from oi_tfrecord import __version__
    from oi_tfrecord.cli.command_line import HELP_FLAGS, run_command_line
    from oi_tfrecord.cli.commands import COMMANDS, load_command
    from oi_tfrecord.cli.exit_codes import ExitCode
    from oi_tfrecord.cli.help import format_overview
    from oi_tfrecord.engine.shared_heap import share_freed_memory
    from oi_tfrecord.errors import nearest

    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["help"]
    if name == "help" and rest:
        name, *rest = rest[0], "--help"
    if name in ("help", *HELP_FLAGS):
        print(format_overview(__version__), end="")
        return ExitCode.DONE
    if name == "--version":
        print(f"oi-tfrecord {__version__}")
        return ExitCode.DONE
    if name not in COMMANDS:
        hint = nearest(name, (*HELP_FLAGS, "--version") if name.startswith("-") else COMMANDS)
        print(f"error: {name!r} is not a command{hint}", file=sys.stderr)
        return ExitCode.FAILED
    # Before the first import of NumPy and Arrow, which start threads.
    share_freed_memory()
    return run_command_line(load_command(name), rest)
