import pytest

from oi_tfrecord.cli.command_line import CommandParser, run_command
from oi_tfrecord.errors import ConfigError


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize("code", [0, 2, 3])
def test_the_command_decides_its_exit_code(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: code) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigError("split", "is needed"), 1, "error: split: is needed\n"),
        (FileNotFoundError(2, "No such file", "/a/b"), 1, "error: /a/b: No such file. Check the path,"),
        (OSError("the store is away"), 1, "error: the store is away. Check the path,"),
        (KeyboardInterrupt(), 130, "error: interrupted; go on\n"),
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: raising(error), "interrupted; go on") == code
    printed = capsys.readouterr().err
    assert printed.startswith(told)
    assert printed.count("\n") == 1


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: raising(ZeroDivisionError()))


def test_a_wrong_flag_is_an_error_of_ours() -> None:
    parser = CommandParser("count", None)
    parser.add_argument("--number", type=int)
    with pytest.raises(ConfigError, match="--number") as caught:
        parser.parse_args(["--number=x"])
    assert caught.value.field == "flags"
