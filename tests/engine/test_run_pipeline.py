import gc
import logging
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import DirectOptions, TypeOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.engine.beam_flags import runs_here
from oi_tfrecord.engine.run_pipeline import (
    import_beam_quietly,
    make_engine_error,
    rare_garbage_collections,
    run_pipeline,
)
from oi_tfrecord.errors import RunnerError
from tests.support import small_release

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


class Line:
    """Stands for the progress line; keeps what happened in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __enter__(self) -> None:
        self.calls.append("start")

    def __exit__(self, *_: object) -> None:
        self.calls.append("stop")


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    """Undoes what a local run does to the whole process."""
    names = [f"apache_beam.runners.portability.{name}" for name in ("fn_api_runner.fn_runner", "local_job_service")]
    levels = {name: logging.getLogger(name).level for name in names}
    hook = threading.excepthook
    yield
    threading.excepthook = hook
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "local"),
    [
        ([], True),
        (["--temp_location=/tmp", "--no_auth"], True),
        (["--runner=DataflowRunner"], False),
        (["--project=p", "--runner", "FlinkRunner"], False),
        # Flags that only begin alike name no runner.
        (["--runner_v2=true"], True),
        (["--setup_file=--runner"], True),
    ],
)
def test_a_run_is_local_until_a_runner_is_named(arguments: list[str], local: bool) -> None:
    assert runs_here(arguments) is local


def write(path: pathlib.Path) -> beam.DoFn:
    def to_file(element: int) -> None:
        (path / str(element)).touch()

    return beam.Map(to_file)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("arguments", [[], [f"--runner={RUNNER}"]])
def test_a_pipeline_is_run_to_its_end_between_start_and_stop_of_the_line(
    arguments: list[str], workers: int, line: Line, tmp_path: pathlib.Path
) -> None:
    def build(root: beam.Pipeline) -> None:
        line.calls.append("build")
        root | beam.Create(range(3)) | write(tmp_path)

    run_pipeline(arguments, workers, line, build)
    assert line.calls == ["build", "start", "stop"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]


def test_the_line_is_stopped_when_the_pipeline_fails(line: Line) -> None:
    def fail(element: int) -> None:
        raise ValueError("no such thing")

    with pytest.raises(Exception, match="no such thing"):
        run_pipeline([], 1, line, lambda root: root | beam.Create([1]) | beam.Map(fail))
    assert line.calls == ["start", "stop"]


def test_a_job_that_another_runner_gives_up_is_named_with_a_remedy(line: Line) -> None:
    def fail(element: int) -> None:
        raise ValueError("no such thing")

    # Beam's own job server, within this process.
    flags = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]
    with pytest.raises(RunnerError, match=r"(?s)failed in state FAILED.*no such thing.*run the same command again"):
        run_pipeline(flags, 1, line, lambda root: root | beam.Create([1]) | beam.Map(fail))
    assert line.calls == ["start", "stop"]


def test_the_error_of_a_step_is_raised_by_a_runner_within_this_process(line: Line) -> None:
    def fail(element: int) -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        run_pipeline(["--runner=FnApiRunner"], 1, line, lambda root: root | beam.Create([1]) | beam.Map(fail))


def test_a_runner_that_cannot_start_is_one_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(pipeline: beam.Pipeline) -> None:
        raise RuntimeError("cannot download\nthe runner")

    monkeypatch.setattr(beam.Pipeline, "run", run)
    with pytest.raises(RunnerError, match="could not be submitted: cannot download the runner"):
        run_pipeline(["--runner=PrismRunner"], 1, line, lambda root: root | beam.Create([1]))


def test_a_job_server_that_does_not_answer_is_named(line: Line) -> None:
    # Nothing listens on port 1.
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--job_server_timeout=1"]
    with pytest.raises(RunnerError, match=r"no job server answers .--job_endpoint"):
        run_pipeline(flags, 1, line, lambda root: root | beam.Create([1]))
    assert line.calls == ["start", "stop"]


class Gone(grpc.RpcError):
    """What gRPC raises when the other side is no longer there."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "Socket closed"


def test_a_job_server_that_is_gone_is_named_without_the_objects_of_grpc(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Result:
        def wait_until_finish(self) -> None:
            raise Gone

    monkeypatch.setattr(beam.Pipeline, "run", lambda self: Result())
    with pytest.raises(RunnerError, match=r"its job server is gone \(UNAVAILABLE, Socket closed\)"):
        run_pipeline(["--runner=PortableRunner", "--job_endpoint=localhost:1"], 1, line, lambda root: None)
    assert line.calls == ["start", "stop"]


def test_an_engine_that_gives_up_is_one_line_with_a_remedy() -> None:
    error = make_engine_error(RuntimeError("Pipeline BeamApp-1_2 failed in state FAILED: one: x\n  two"))
    assert error is not None
    assert error.problem == "one: x two"
    assert "run the same command again" in str(error)
    assert "\n" not in str(error)
    assert make_engine_error(RuntimeError("something else")) is None


def test_nothing_is_shown_when_the_pipeline_cannot_be_built(line: Line) -> None:
    def build(root: beam.Pipeline) -> None:
        raise ValueError("cannot be built")

    with pytest.raises(ValueError, match="cannot be built"):
        run_pipeline([], 1, line, build)
    assert line.calls == []


@pytest.mark.parametrize(("given", "workers", "expected"), [([], 3, 3), ([f"--runner={RUNNER}"], 3, 1)])
def test_workers_are_those_of_a_local_run_only(given: list[str], workers: int, expected: int, line: Line) -> None:
    found = []

    def build(root: beam.Pipeline) -> None:
        found.append((root.options.view_as(DirectOptions).direct_num_workers, type(root.runner)))

    run_pipeline(given, workers, line, build)
    assert found == [(expected, FnApiRunner)]


def test_other_flags_reach_the_pipeline(line: Line) -> None:
    found = []
    run_pipeline(
        ["--no_pipeline_type_check"],
        1,
        line,
        lambda root: found.append(root.options.view_as(TypeOptions).pipeline_type_check),
    )
    assert found == [False]


def test_beam_is_imported_without_output_and_the_log_is_as_before() -> None:
    code = (
        "import logging, sys\n"
        "from oi_tfrecord.engine.run_pipeline import import_beam_quietly\n"
        "assert 'apache_beam' not in sys.modules\n"
        "import_beam_quietly()\n"
        "assert 'apache_beam' in sys.modules\n"
        "logging.warning('still heard')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=small_release.ROOT,
        env=small_release.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "WARNING:root:still heard\n")


def test_the_level_of_the_log_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        import_beam_quietly()
        assert logging.getLogger().level == logging.INFO


def test_garbage_is_collected_as_before_when_a_run_has_ended() -> None:
    before = gc.get_threshold()
    with rare_garbage_collections():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
