"""The help of the commands as text of at most 80 columns, and the values that it is made of."""

import dataclasses
import textwrap
from collections.abc import Sequence

from oi_tfrecord.cli.command import Command
from oi_tfrecord.cli.commands import SUMMARIES, TASKS
from oi_tfrecord.cli.console import PrintOptions
from oi_tfrecord.cli.exit_codes import MEANINGS
from oi_tfrecord.cli.flags import usage_of
from oi_tfrecord.settings.options import Group, Option, options_of

COLUMNS = 80


@dataclasses.dataclass(frozen=True)
class FlagHelp:
    """A flag or a positional argument, described in texts.

    Attributes:
        usage: how it is written, such as `--num_shards=N`.
        help: one or two sentences.
        default: the value where none is given; empty if the flag is required.
        allowed: values that the flag takes; empty for all of its kind.
        group: heading of the help.
    """

    usage: str
    help: str
    default: str
    allowed: str
    group: Group


def describe_flags(command: Command) -> tuple[FlagHelp, ...]:
    """Returns the positional arguments and flags of a command, by group in the order of the help."""
    declared = [one for options_class in (*command.options, PrintOptions) for one in options_of(options_class)]
    order = list(Group)
    return tuple(map(_describe, sorted(declared, key=lambda one: (not one.positional, order.index(one.group)))))


def _describe(declared: Option) -> FlagHelp:
    if declared.required:
        default = ""
    elif declared.kind is bool:
        default = str(declared.default).lower()
    elif declared.kind is tuple:
        default = ",".join(declared.default) or "none"
    else:
        default = str(declared.default) or "none"
    return FlagHelp(
        usage=declared.positional or usage_of(declared),
        help=declared.help,
        default=default,
        allowed=declared.allowed.describe() if declared.allowed else "",
        group=declared.group,
    )


def usage(command: Command) -> str:
    """Returns how a command is called, on one line."""
    declared = [one for options_class in command.options for one in options_of(options_class)]
    words = [f"{one.positional} [{one.positional} ...]" if one.kind is tuple else one.positional
             for one in declared if one.positional]  # fmt: skip
    words += [usage_of(one) for one in declared if one.required and not one.positional]
    return " ".join(["oi-tfrecord", command.name, *words, "[FLAGS]"])


def format_help(command: Command) -> str:
    """Returns the help of a command: usage, examples, flags in groups, exit codes."""
    lines = _wrap(f"usage: {usage(command)}", "", "       ")
    lines += ["", *_wrap(SUMMARIES[command.name])]
    for example in command.examples:
        lines += ["", *_wrap(f"{example.title}:", "  "), "", *(f"    {line}" for line in wrap_shell(example.command))]
    flags = describe_flags(command)
    for heading in ("Arguments", *Group):
        of_group = [flag for flag in flags if _heading(flag) == heading]
        if of_group:
            lines += ["", f"{heading}:"]
        for flag in of_group:
            lines += [f"  {flag.usage}", *_wrap(" ".join([flag.help, *_limits(flag)]), "      ")]
    for paragraph in (*command.details, command.beam_flags):
        if paragraph:
            lines += ["", *_wrap(paragraph)]
    lines += ["", "Exit codes:", *_format_exit_codes()]
    return "\n".join(lines) + "\n"


def _heading(flag: FlagHelp) -> str:
    return flag.group if flag.usage.startswith("--") else "Arguments"


def _limits(flag: FlagHelp) -> list[str]:
    return [
        *([f"Allowed: {flag.allowed}."] if flag.allowed else []),
        f"Default: {flag.default}." if flag.default else "Required.",
    ]


def format_overview(version: str) -> str:
    """Returns the help of `oi-tfrecord` itself: the commands by task, and the exit codes.

    Args:
        version: of the package.
    """
    lines = [f"oi-tfrecord {version}: Open Images to TensorFlow training records", ""]
    lines += ["usage: oi-tfrecord COMMAND [ARGUMENTS] [FLAGS]", "       oi-tfrecord help [COMMAND]"]
    lines += ["       oi-tfrecord --version"]
    for task, commands in TASKS.items():
        lines += ["", f"{task}:"]
        for name, summary in commands.items():
            lines += _wrap(f"{name:<16}{summary}", "  ", " " * 18)
    lines += ["", *_wrap("Flags of every command: --help, --quiet, --verbose.")]
    lines += ["", "Exit codes:", *_format_exit_codes()]
    return "\n".join(lines) + "\n"


def _format_exit_codes() -> list[str]:
    return [line for code, meaning in MEANINGS.items() for line in _wrap(f"{code:>3d}  {meaning}", "  ", "       ")]


def wrap_shell(command: str) -> Sequence[str]:
    r"""Breaks a command line at spaces into lines of at most 76 columns that end in ` \`.

    Args:
        command: words separated by single spaces.
    """
    lines = textwrap.wrap(command, COLUMNS - 6, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [*(f"{line} \\" for line in lines[:-1]), *lines[-1:]]


def _wrap(text: str, indent: str = "", further_indent: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent if further_indent is None else further_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
