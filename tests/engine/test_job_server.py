import concurrent.futures
import functools
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.engine.beam_flags import choose_parallelism, split_beam_arguments, to_beam_flags, value_of
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.job_server import check_servers, find_server_flags
from oi_tfrecord.errors import ConfigError

KINDS = beam_job_api_pb2.PipelineOptionType


class Servicer(beam_job_api_pb2_grpc.JobServiceServicer):
    """Names five flags as Flink's job server does."""

    def DescribePipelineOptions(self, request: Any, context: Any) -> Any:
        made = [
            ("number_of_execution_retries", KINDS.INTEGER, "-1"),
            ("object_reuse", KINDS.BOOLEAN, "false"),
            ("auto_balance_write_files_sharding_enabled", KINDS.BOOLEAN, "true"),
            ("state_backend", KINDS.STRING, ""),
            ("parallelism", KINDS.INTEGER, "-1"),
        ]
        options = [
            beam_job_api_pb2.PipelineOptionDescriptor(name=name, type=kind, default_value=default)
            for name, kind, default in made
        ]
        return beam_job_api_pb2.DescribePipelineOptionsResponse(options=options)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


def test_flags_that_the_job_server_names_are_taken_and_checked(endpoint: str) -> None:
    where = f"--job_endpoint={endpoint}"
    given = (where, "--state_backend=filesystem", "--number_of_execution_retries=3", "--object_reuse=true")
    assert split_beam_arguments(given, []) == ((), given)
    for flag, problem in (
        ("--number_of_execution_retries=many", "'many' is no int"),
        ("--object_reuse=1", "'1' is none of true, false"),
        ("--object_reus=true", "did you mean '--object_reuse'"),
    ):
        with pytest.raises(ConfigError, match=problem):
            split_beam_arguments([where, flag], [])


def test_flags_of_a_job_server_stand_in_a_runner_configuration(endpoint: str, tmp_path: Any) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"runner: PortableRunner\njob_endpoint: {endpoint}\nobject_reuse: true\n")
    conversion = parse_convert([f"--runner_config={path}", "--state_backend=filesystem"])
    assert {"--object_reuse=true", "--state_backend=filesystem"} <= set(conversion.beam_arguments)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["--object_reuse=true"], ["--object_reuse"]),
        (["--object_reuse", "false"], []),
        (["--auto_balance_write_files_sharding_enabled=true"], []),
        (
            ["--auto_balance_write_files_sharding_enabled=false", "--parallelism=2"],
            ["--auto_balance_write_files_sharding_enabled", "--parallelism=2"],
        ),
        (["--state_backend=filesystem"], ["--state_backend=filesystem"]),
    ],
)
def test_beam_gets_true_and_false_in_its_own_form(given: list[str], made: list[str], endpoint: str) -> None:
    where = f"--job_endpoint={endpoint}"
    assert to_beam_flags([where, *given]) == [where, *made]


def test_a_job_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^--job_endpoint|job_endpoint: no job server answers at localhost:1 "):
        find_server_flags("localhost:1")
    with pytest.raises(ConfigError, match="no job server answers"):
        split_beam_arguments(["--job_endpoint=localhost:1", "--state_backend=filesystem"], [])


def test_an_unknown_flag_without_a_job_server_is_unknown() -> None:
    with pytest.raises(ConfigError, match="is not a flag of this command or of Beam"):
        split_beam_arguments(["--state_backend=filesystem"], [])


class _Overview(http.server.BaseHTTPRequestHandler):
    """Answers as Flink's REST service."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/overview" else 404)
        self.end_headers()
        self.wfile.write(b'{"taskmanagers": 2, "slots-total": 8, "slots-available": 6, "flink-version": "1.19.3"}')

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


def test_a_job_on_flink_takes_the_free_slots_if_none_are_given(endpoint: str) -> None:
    server = http.server.HTTPServer(("localhost", 0), _Overview)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    notes: list[str] = []
    given = ("--runner=PortableRunner", f"--flink_master=localhost:{server.server_port}")
    try:
        assert choose_parallelism(given, notes.append) == (*given, "--parallelism=6")
        assert choose_parallelism((*given, "--parallelism=2"), notes.append) == (*given, "--parallelism=2")
    finally:
        server.shutdown()
        server.server_close()
    assert notes == ["flink      the job takes the 6 slots that are free (--parallelism)"]
    silent = ("--runner=PortableRunner", f"--job_endpoint={endpoint}")
    assert choose_parallelism(silent, notes.append) == silent
    assert choose_parallelism((), notes.append) == ()
    [_, hint] = notes
    assert "give --parallelism=SLOTS" in hint


@pytest.mark.parametrize("flag", ["--job_endpoint=localhost:1", "--flink_master=http://localhost:1"])
def test_a_server_that_cannot_be_reached_is_named_before_anything_is_read(flag: str) -> None:
    with pytest.raises(ConfigError, match="cannot be reached at localhost:1"):
        accept_beam_arguments(["--runner=PortableRunner", flag])


@pytest.mark.parametrize("flag", ["--job_endpoint=embed", "--flink_master=[auto]", "--parallelism=3"])
def test_servers_that_beam_starts_are_not_looked_for(flag: str) -> None:
    check_servers(functools.partial(value_of, [flag]))
