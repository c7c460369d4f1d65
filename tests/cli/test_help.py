import shlex

import pytest

from oi_tfrecord.cli import download
from oi_tfrecord.cli.command_line import parse_command_line
from oi_tfrecord.cli.commands import COMMANDS, TASKS, load_command
from oi_tfrecord.cli.help import COLUMNS, describe_flags, format_help, format_overview, usage, wrap_shell
from oi_tfrecord.settings.options import Group


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_and_a_group(name: str) -> None:
    for flag in describe_flags(load_command(name)):
        assert flag.help.endswith("."), flag.usage
        assert flag.heading in ("Arguments", *Group)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_usage_examples_flags_and_exit_codes(name: str) -> None:
    command = load_command(name)
    text = format_help(command)
    assert text.startswith(f"usage: oi-tfrecord {name} ")
    assert command.examples
    places = [text.index(f"oi-tfrecord {name} ", 10)]
    for flag in describe_flags(command):
        places.append(text.index(f"\n  {flag.usage}\n", places[-1]))
        assert " ".join(flag.help.split()) in " ".join(text[places[-1] :].split())
    assert text.index("Exit codes:") > places[-1]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_flag_with_values_shows_its_default_and_what_is_allowed(name: str) -> None:
    words = " ".join(format_help(load_command(name)).split())
    for flag in describe_flags(load_command(name)):
        about = words[words.index(f"{flag.usage} {flag.help}") :]
        allowed = f" Allowed: {flag.allowed}." if flag.allowed else ""
        default = f" Default: {flag.default}." if flag.default else ""
        assert about.startswith(f"{flag.usage} {flag.help}{allowed}{default}")


@pytest.mark.parametrize("text", [*(format_help(load_command(name)) for name in COMMANDS), format_overview("0.0.0")])
def test_no_line_is_longer_than_a_terminal(text: str) -> None:
    assert max(map(len, text.splitlines())) <= COLUMNS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_parse(name: str) -> None:
    command = load_command(name)
    for example in command.examples:
        program, given, *arguments = shlex.split(example.command)
        assert (program, given) == ("oi-tfrecord", name)
        parsed = parse_command_line(command, arguments)
        if name == "download":
            # A configuration file adds to the flags.
            assert download.make_options(parsed).metadata
            continue
        for options_class in command.options:
            parsed.make(options_class)


def test_usage_names_what_must_be_given() -> None:
    assert usage(load_command("training-config")) == "oi-tfrecord training-config DIR [FLAGS]"


def test_the_overview_lists_every_command_once() -> None:
    text = format_overview("1.2.3")
    assert "1.2.3" in text
    for name in COMMANDS:
        assert text.count(f"\n  {name} ") == 1
    assert all(f"\n{task}:\n" in text for task in TASKS)


def test_a_wrapped_command_is_the_same_to_a_shell() -> None:
    command = "oi-tfrecord convert " + " ".join(f"--flag_{number}='{{image_id}}'" for number in range(12))
    lines = wrap_shell(command)
    assert len(lines) > 2
    assert shlex.split("\n".join(lines).replace("\\\n", " ")) == shlex.split(command)
