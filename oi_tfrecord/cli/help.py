"""The help of the commands as text of at most 80 columns, and the values that it is made of."""

import dataclasses
import textwrap
from collections.abc import Sequence

from oi_tfrecord.cli.command import Command
from oi_tfrecord.cli.commands import SUMMARIES, TASKS
from oi_tfrecord.cli.console import PrintOptions
from oi_tfrecord.cli.exit_codes import MEANINGS, ExitCode
from oi_tfrecord.cli.flags import usage_of
from oi_tfrecord.settings.options import Group, Option, options_of

COLUMNS = 80


@dataclasses.dataclass(frozen=True)
class FlagHelp:
    """A flag or a positional argument, described in texts.

    Attributes:
        usage: how it is written, such as `--num_shards=N`.
        help: one or two sentences.
        required: whether a value must be given.
        default: the value where none is given; empty for none.
        allowed: values that the flag takes; empty for all of its kind.
        heading: heading of the help, `Arguments` for positional ones.
    """

    usage: str
    help: str
    required: bool
    default: str
    allowed: str
    heading: str


def describe_flags(command: Command) -> tuple[FlagHelp, ...]:
    """Returns the positional arguments and flags of a command, by group in the order of the help."""
    declared = [option for options_class in (*command.options, PrintOptions) for option in options_of(options_class)]
    order = list(Group)
    return tuple(
        map(_describe, sorted(declared, key=lambda option: (not option.positional, order.index(option.group))))
    )


def _describe(option: Option) -> FlagHelp:
    return FlagHelp(
        usage=option.positional or usage_of(option),
        help=option.help,
        required=option.required,
        default="" if option.required else _default_of(option),
        allowed=option.allowed.describe() if option.allowed else "",
        heading="Arguments" if option.positional else option.group,
    )


def _default_of(option: Option) -> str:
    if option.kind is tuple:
        return ",".join(option.default)
    return str(option.default).lower() if option.kind is bool else str(option.default)


def usage(command: Command) -> str:
    """Returns how a command is called, on one line."""
    declared = [option for options_class in command.options for option in options_of(options_class)]
    words = [
        f"{option.positional} [{option.positional} ...]" if option.kind is tuple else option.positional
        for option in declared
        if option.positional
    ]
    words += [usage_of(option) for option in declared if option.required and not option.positional]
    return " ".join(["oi-tfrecord", command.name, *words, "[FLAGS]"])


def format_help(command: Command) -> str:
    """Returns the help of a command: usage, examples, flags in groups, exit codes."""
    lines = _wrap(f"usage: {usage(command)}", "", "       ")
    lines += ["", *_wrap(SUMMARIES[command.name])]
    for example in command.examples:
        lines += ["", *_wrap(f"{example.title}:", "  "), "", *(f"    {line}" for line in wrap_shell(example.command))]
    flags = describe_flags(command)
    for heading in dict.fromkeys(flag.heading for flag in flags):
        lines += ["", f"{heading}:"]
        for flag in flags:
            if flag.heading == heading:
                lines += [f"  {flag.usage}", *_wrap(" ".join([flag.help, *_limits(flag)]), "      ")]
    for paragraph in (*command.details, command.beam_flags):
        if paragraph:
            lines += ["", *_wrap(paragraph)]
    lines += ["", "Exit codes:", *_format_exit_codes(command.exit_codes)]
    return "\n".join(lines) + "\n"


def _limits(flag: FlagHelp) -> list[str]:
    return [
        *([f"Allowed: {flag.allowed}."] if flag.allowed else []),
        *([f"Default: {flag.default}."] if flag.default else []),
        *(["Required."] if flag.required else []),
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
    lines += ["", "Exit codes:", *_format_exit_codes(tuple(MEANINGS))]
    return "\n".join(lines) + "\n"


def _format_exit_codes(codes: Sequence[ExitCode]) -> list[str]:
    return [line for code in codes for line in _wrap(f"{code:>3d}  {MEANINGS[code]}", "  ", "       ")]


def wrap_shell(command: str) -> Sequence[str]:
    r"""Breaks a command line at spaces into lines of at most 76 columns that end in ` \`.

    Args:
        command: words without spaces, separated by single spaces.
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
