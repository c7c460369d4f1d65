import dataclasses
from collections.abc import Callable

import pytest

from oi_tfrecord.cli.command import Command, Example
from oi_tfrecord.cli.command_line import run_command_line
from oi_tfrecord.cli.console import Console
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.options import Group, option


@dataclasses.dataclass(frozen=True)
class CountOptions:
    number: int = option(0, "Number to count to.", Group.INPUTS)


def command(run: Callable[[ParsedFlags, Console], int]) -> Command:
    example = Example("Counts to three", "oi-tfrecord sample --number=3")
    return Command("sample", (example,), (CountOptions,), run, when_interrupted="interrupted; run it again")


def failing(error: BaseException) -> Command:
    def fail(parsed: ParsedFlags, console: Console) -> int:
        raise error

    return command(fail)


@pytest.mark.parametrize("code", [0, 2, 3])
def test_the_command_decides_its_exit_code(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(command(lambda parsed, console: code), []) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (ConfigError("split", "is needed"), 1, "error: split: is needed\n"),
        (FileNotFoundError(2, "No such file", "/a/b"), 1, "error: /a/b: No such file. Check the path,"),
        (OSError("the store is away"), 1, "error: the store is away. Check the path,"),
        (KeyboardInterrupt(), 130, "error: interrupted; run it again\n"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--quiet"]])
def test_an_error_of_the_user_is_one_line(
    error: BaseException, code: int, printed: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(failing(error), flags) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(printed)
    assert err.count("\n") == 1


def test_verbose_prints_the_traceback_before_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(failing(ConfigError("split", "is needed")), ["--verbose"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("\nerror: split: is needed\n")


def test_an_error_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command_line(failing(ZeroDivisionError()), [])


def test_a_wrong_flag_is_an_error_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(failing(AssertionError()), ["--number=x"]) == 1
    assert capsys.readouterr().err == "error: number: 'x' is not a whole number\n"


@pytest.mark.parametrize(
    ("flags", "out", "err"),
    [([], "done\ndata\n", "warning: old\nerror: bad\n"), (["--quiet"], "data\n", "error: bad\n")],
)
def test_quiet_leaves_data_and_errors(flags: list[str], out: str, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(parsed: ParsedFlags, console: Console) -> int:
        console.print_summary(["done"])
        console.print_data("data\n")
        console.print_warnings(["old"])
        console.print_error("bad")
        return 0 if isinstance(console.progress, NoProgress) == bool(flags) else 1

    assert run_command_line(command(run), flags) == 0
    assert capsys.readouterr() == (out, err)


def test_help_comes_before_the_flags_are_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(failing(AssertionError()), ["--nonsense", "--help"]) == 0
    assert "\n  --number=N\n      Number to count to. Default: 0.\n" in capsys.readouterr().out
