from oi_tfrecord.cli.exit_codes import MEANINGS, ExitCode
from oi_tfrecord.engine import local_end, local_runner


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


def test_codes_of_the_local_runner_are_those_of_the_commands() -> None:
    assert local_runner.WORKER_DIED == ExitCode.WORKER_DIED
    assert local_end.INTERRUPTED == ExitCode.INTERRUPTED
