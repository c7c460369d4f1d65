import dataclasses
from typing import Any

import pytest

from oi_tfrecord.cli.commands import COMMANDS, load_command
from oi_tfrecord.cli.flags import ParsedFlags, parse_flags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option


@dataclasses.dataclass(frozen=True)
class PackOptions:
    inputs: tuple[str, ...] = option(REQUIRED, "Folders to pack.", Group.INPUTS, positional="DIR")
    to: str = option(REQUIRED, "Folder to write to.", Group.OUTPUT)
    split: tuple[str, ...] = option((), "Splits.", Group.INPUTS, earlier_flag="splits")
    order: str = option("list", "Order.", Group.OUTPUT, Choice(("list", "mid")))
    share: float = option(1.0, "Share.", Group.CHOICE, Range(0, 1))
    workers: int = option(0, "Workers.", Group.RUNNER)
    overwrite: bool = option(True, "Replace files.", Group.OUTPUT)
    as_: str = option("", "Name.", Group.OUTPUT)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)


@dataclasses.dataclass(frozen=True)
class PrintOptions:
    format: str = option("text", "Format.", Group.OUTPUT)


def parse(*arguments: str, takes_beam_flags: bool = True) -> ParsedFlags:
    return parse_flags((PackOptions, PrintOptions), arguments, takes_beam_flags)


def pack(*arguments: str) -> PackOptions:
    return parse(*arguments).make(PackOptions)


def test_values_go_to_the_dataclass_that_declares_them() -> None:
    parsed = parse("a", "b", "--to=c", "--format=json")
    assert parsed.make(PackOptions) == PackOptions(("a", "b"), "c")
    assert parsed.make(PrintOptions) == PrintOptions("json")


def test_a_flag_that_is_not_given_has_no_value() -> None:
    assert parse("--workers=0").given == {PackOptions: {"workers": 0}, PrintOptions: {}}


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        (["--split=train,test"], "split", ("train", "test")),
        (["--split=train", "--split", "test"], "split", ("train", "test")),
        (["--split="], "split", ()),
        (["--splits=train", "--split=test"], "split", ("train", "test")),
        (["--order=mid"], "order", "mid"),
        (["--order=mid", "--order=list"], "order", "list"),
        (["--share=1e-3"], "share", 0.001),
        (["--workers", "3"], "workers", 3),
        (["--nooverwrite"], "overwrite", False),
        (["--overwrite=false"], "overwrite", False),
        (["--as=new"], "as_", "new"),
    ],
)
def test_a_flag_sets_its_field(flags: list[str], field: str, value: Any) -> None:
    assert pack("a", "--to=c", *flags) == dataclasses.replace(PackOptions(("a",), "c"), **{field: value})


def test_flags_of_beam_and_their_values_are_passed_on() -> None:
    packed = pack("--temp_location", "gs://bucket/tmp", "a", "--streaming", "b", "--to", "c", "--region=r")
    assert packed.inputs == ("a", "b")
    assert packed.beam_arguments == ("--temp_location", "gs://bucket/tmp", "--streaming", "--region=r")


@pytest.mark.parametrize(
    ("arguments", "field", "problem"),
    [
        (["--worker=3"], "worker", "is not a flag of this command or of Beam; did you mean '--workers'?"),
        (["--temp_locatio=a"], "temp_locatio", "did you mean '--temp_location'?"),
        (["--workers=many"], "workers", "'many' is not a whole number"),
        (["--share=half"], "share", "'half' is not a number"),
        (["--overwrite=maybe"], "overwrite", "'maybe' is not true or false"),
        (["--nooverwrite=1"], "flags", "--nooverwrite=1 does not take an argument"),
        (['--split="a'], "split", "is not a list"),
        (["--to"], "to", "needs a value"),
        (["--order", "--to=c"], "order", "needs a value"),
        (["--order=md"], "order", "'md' is none of list, mid; did you mean 'mid'?"),
        (["--share=2"], "share", "2.0 is not within 0 to 1"),
    ],
)
def test_a_bad_flag_is_an_error_that_names_it(arguments: list[str], field: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        pack("a", "--to=c", *arguments)
    assert raised.value.field == field
    assert problem in raised.value.problem


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["a"], "to: is needed; give --to"), (["--to=c"], "inputs: is needed; give DIR")],
)
def test_a_missing_option_is_an_error_that_names_it(arguments: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        pack(*arguments)
    assert str(raised.value) == problem


def test_a_command_without_beam_refuses_its_flags() -> None:
    with pytest.raises(ConfigError, match="streaming: is not a flag of this command"):
        parse("a", "--streaming", takes_beam_flags=False)


def test_a_word_too_many_is_refused() -> None:
    with pytest.raises(ConfigError, match="'stray' is not a flag; flags begin with --"):
        parse_flags((PrintOptions,), ["--format=a", "stray"], takes_beam_flags=True)
    with pytest.raises(ConfigError, match=r"did you mean '--split=train'\?"):
        parse_flags((PrintOptions,), ["--format=a", "split=train"], takes_beam_flags=True)


@pytest.mark.parametrize("command", ["convert", "verify", "resample", "merge", "report", "export"])
def test_commands_that_take_runner_flags_take_a_runner_configuration(command: str) -> None:
    options = load_command(command).options
    parsed = parse_flags((RunnerOptions,), ["--runner=DataflowRunner"], takes_beam_flags=True)
    assert RunnerOptions in options
    assert [flag for flag in parsed.beam_arguments if flag.startswith("--machine_type=")]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_of_a_command_is_checked_and_takes_a_tilde(name: str) -> None:
    # `__post_init__` calls `check_values`.
    assert [made.__name__ for made in load_command(name).options if not hasattr(made, "__post_init__")] == []
