"""The reference of all commands as Markdown pages, made from the same declarations as the help."""

from collections.abc import Mapping, Sequence

from oi_tfrecord.cli.command import Command
from oi_tfrecord.cli.commands import COMMANDS, SUMMARIES, TASKS, load_command
from oi_tfrecord.cli.exit_codes import MEANINGS, ExitCode
from oi_tfrecord.cli.help import FlagHelp, describe_flags, usage, wrap_shell


def format_pages() -> Mapping[str, str]:
    """Returns Markdown by file name: `index.md`, and `NAME.md` of each command."""
    return {"index.md": format_index(), **{f"{name}.md": format_page(load_command(name)) for name in COMMANDS}}


def format_index() -> str:
    """Returns the page that lists the commands by task, and the exit codes."""
    lines = ["# Commands", "", "`oi-tfrecord help COMMAND` prints what these pages show."]
    for task, commands in TASKS.items():
        lines += ["", f"## {task}", ""]
        lines += [f"- [`{name}`]({name}.md): {_escape(summary)}" for name, summary in commands.items()]
    lines += ["", "## Exit codes", "", *_format_exit_codes(tuple(MEANINGS))]
    return "\n".join(lines) + "\n"


def format_page(command: Command) -> str:
    """Returns the page of a command: examples, then the flags in a table for each group."""
    lines = [f"# {command.name}", "", _escape(SUMMARIES[command.name]), "", "```text", usage(command), "```"]
    for paragraph in (*command.details, command.beam_flags):
        if paragraph:
            lines += ["", _escape(paragraph)]
    for example in command.examples:
        lines += ["", f"{_escape(example.title)}:", "", "```sh", *wrap_shell(example.command), "```"]
    flags = describe_flags(command)
    for heading in dict.fromkeys(flag.heading for flag in flags):
        lines += ["", f"## {heading}", "", "| flag | meaning | allowed | default |", "|---|---|---|---|"]
        lines += [_format_row(flag) for flag in flags if flag.heading == heading]
    lines += ["", "## Exit codes", "", *_format_exit_codes(command.exit_codes)]
    return "\n".join(lines) + "\n"


def _format_row(flag: FlagHelp) -> str:
    default = f"`{_escape_cell(flag.default)}`" if flag.default else "required" if flag.required else ""
    return f"| `{_escape_cell(flag.usage)}` | {_escape(flag.help)} | {_escape(flag.allowed)} | {default} |"


def _format_exit_codes(codes: Sequence[ExitCode]) -> list[str]:
    return ["| code | meaning |", "|---|---|", *(f"| {code:d} | {_escape(MEANINGS[code])} |" for code in codes)]


def _escape(text: str) -> str:
    """Escapes what Markdown would take for HTML, emphasis or a cell's end; code in backticks stays."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        for mark in ("\\", "*", "_", "|"):
            parts[place] = parts[place].replace(mark, f"\\{mark}")
        parts[place] = parts[place].replace("<", "&lt;")
    return "`".join(parts)


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")
