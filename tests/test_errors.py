import pickle

import pytest

from oi_tfrecord.errors import ConfigError, InputError, OiTfrecordError, RunnerError, nearest


def test_config_error_names_the_field() -> None:
    error = ConfigError("num_shards", "-1 is not within 0 to 9")
    assert str(error) == "num_shards: -1 is not within 0 to 9"
    assert (error.field, error.problem) == ("num_shards", "-1 is not within 0 to 9")


@pytest.mark.parametrize(
    ("line", "where"), [(None, "a.csv: "), (1, "a.csv, line 1: "), (0, "a.csv, line 0: "), (7, "a.csv, line 7: ")]
)
def test_input_error_names_file_line_and_remedy(line: int | None, where: str) -> None:
    error = InputError("a.csv", "the file is empty", "Download it again", line)
    assert str(error) == where + "the file is empty. Download it again."
    assert (error.path, error.problem, error.remedy, error.line) == (
        "a.csv",
        "the file is empty",
        "Download it again",
        line,
    )


def test_runner_error_says_what_the_runner_reports_and_what_to_do() -> None:
    error = RunnerError("no executor is left")
    assert str(error).splitlines() == [
        "the job failed on its runner: no executor is left",
        "Correct this problem, and run the same command again.",
    ]


@pytest.mark.parametrize(
    "error", [ConfigError("a", "b"), InputError("a", "b", "c"), InputError("a", "b", "c", 4), RunnerError("a")]
)
def test_errors_come_back_whole_from_worker_processes(error: OiTfrecordError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


@pytest.mark.parametrize("error", [ConfigError("a", "b"), InputError("a", "b", "c"), RunnerError("a")])
def test_commands_can_catch_all_by_their_base(error: Exception) -> None:
    assert isinstance(error, OiTfrecordError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("boxs", "; did you mean 'boxes'?"), ("labels", "; did you mean 'label'?"), ("zzz", ""), ("", "")],
)
def test_nearest(name: str, hint: str) -> None:
    assert nearest(name, iter(["boxes", "label", "metadata"])) == hint


def test_a_name_of_megabytes_has_no_nearest() -> None:
    assert nearest("a" * 300, ["a" * 299]) == ""


def test_nearest_of_none_known() -> None:
    assert nearest("boxes", []) == ""


def test_the_nearest_name_differs_by_case_alone_if_one_does() -> None:
    # Of `xmin` and `ymin`, difflib finds both as close to `XMin`.
    assert nearest("XMin", ["ymin", "xmin"]) == "; did you mean 'xmin'?"
