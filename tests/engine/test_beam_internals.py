"""What beam_internals relies on, in Beam 2.65 to before 3; run with the version that is installed (2.77).

The use of Beam's validator is tested in test_dataflow_flags.py, as the validator needs the clients of Google Cloud.
"""

import inspect
import logging
import re
import sys
import threading
import types
from collections.abc import Iterator

import apache_beam
import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners import common
from apache_beam.runners.portability import local_job_service, portable_runner
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.runners.worker import data_plane, sdk_worker
from apache_beam.utils import subprocess_server
from google.protobuf import json_format
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from oi_tfrecord.engine.beam_internals import (
    DATA_LOGGER,
    SERVER_LOGGER,
    STEP_LOGGERS,
    VERSIONS,
    WORKER_COUNT_LOGGERS,
    WORKER_THREAD,
    beam_logger,
    find_engine_message,
    find_flag_names,
    find_flags,
    hide_known_errors,
    hide_lost_connections,
    is_worker_thread,
    make_provision_info,
    without_interactive_beam,
)
from oi_tfrecord.errors import EncodedFileError, InputError, StorageError
from tests.support import small_release


def test_flags_are_known_by_name_before_beam_is_imported() -> None:
    assert set(find_flags()) <= find_flag_names()


def test_the_installed_beam_is_of_the_versions_that_setup_requires() -> None:
    [required] = re.findall(r'"(apache-beam>=[^"]*)"', (small_release.ROOT / "setup.py").read_text())
    assert Requirement(required).specifier == SpecifierSet(VERSIONS)
    assert apache_beam.__version__ in SpecifierSet(VERSIONS)


def test_flags_of_every_runner_are_found() -> None:
    flags = find_flags()
    assert {"--runner", "--flink_master", "--spark_master_url", "--prism_location", "--machine_type"} <= set(flags)
    assert "--num_shards" not in flags
    assert flags["--max_num_workers"].type is int
    assert flags["--streaming"].nargs == 0


def test_worker_processes_get_the_options() -> None:
    options = PipelineOptions(
        ["--temp_location=gs://bucket/tmp", "--s3_access_key_id=x", "--direct_num_workers=3", "--save_main_session"]
    )
    sent = json_format.MessageToDict(make_provision_info(options).provision_info.pipeline_options)
    assert {name.removeprefix("beam:option:").removesuffix(":v1"): value for name, value in sent.items()} == {
        "temp_location": "gs://bucket/tmp",
        "s3_access_key_id": "x",
        "direct_num_workers": "3",
        "save_main_session": True,
    }


def test_beam_waits_for_a_worker_process_in_a_thread_of_that_name() -> None:
    assert f"name='{WORKER_THREAD}'" in inspect.getsource(worker_handlers)
    assert is_worker_thread(threading.Thread(name=WORKER_THREAD))
    assert not is_worker_thread(threading.Thread(name="another"))
    assert not is_worker_thread(None)


def test_loggers_have_the_names_of_their_modules() -> None:
    modules = (common, sdk_worker, local_job_service, fn_runner, data_plane, subprocess_server)
    loggers = {getattr(module, "_LOGGER", logging.getLogger(module.__name__)) for module in modules}
    assert {beam_logger(name) for name in (*STEP_LOGGERS, *WORKER_COUNT_LOGGERS, DATA_LOGGER, SERVER_LOGGER)} == loggers


GAVE_UP = "Pipeline BeamApp-1_2 failed in state FAILED: "


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "org.a.StatusRuntimeException: org.a.StatusRuntimeException: CANCELLED: closed. Try",
            "CANCELLED: closed. Try",
        ),
        ("java.util.concurrent.TimeoutException: no heartbeat.", "no heartbeat."),
        ("unknown error", "unknown error"),
        ("one: x\n  two", "one: x\n  two"),
    ],
)
def test_the_message_of_an_engine_that_gives_up_is_found(said: str, message: str) -> None:
    # The text is that of PipelineResult._observe_state.
    assert "failed in state" in inspect.getsource(portable_runner)
    assert find_engine_message(RuntimeError(GAVE_UP + said)) == message


@pytest.mark.parametrize(
    "text",
    [
        GAVE_UP + "java.lang.RuntimeException: Error received: Traceback (most recent call last):\nValueError: a bug",
        "Pipeline BeamApp-1_2 failed in state CANCELLED: by the user",
        "something else",
    ],
)
def test_what_a_worker_raised_is_no_message_of_an_engine(text: str) -> None:
    assert find_engine_message(RuntimeError(text)) == ""


@pytest.fixture
def quiet() -> Iterator[None]:
    loggers = [logging.getLogger(), logging.getLogger("apache_beam.runners.common")]
    before = [list(logger.filters) for logger in loggers]
    hide_known_errors()
    yield
    for logger, filters in zip(loggers, before, strict=True):
        logger.filters[:] = filters


@pytest.mark.usefixtures("quiet")
def test_only_known_errors_are_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("apache_beam.runners.common")
    known = [
        InputError("a.csv", "is cut off", "Correct it"),
        StorageError("a", "is full", "Correct it"),
        EncodedFileError("x"),
    ]
    for error in (*known, ValueError("a fault")):
        try:
            raise error
        except Exception:
            logger.exception("while processing")
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [("a fault",)]


@pytest.mark.usefixtures("quiet")
def test_an_engines_messages_about_known_errors_are_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    # Beam's PortableRunner logs an engine's messages on the root logger.
    of_worker = "java.lang.RuntimeException: Error received from SDK harness for instruction 4: Traceback ...\n"
    logging.log(logging.ERROR, "%s", of_worker + "oi_tfrecord.errors.StorageError: a.jpg: is full. Free space.")
    logging.log(logging.ERROR, "%s", of_worker + "ValueError: a fault")
    assert [record.getMessage() for record in caplog.records] == [of_worker + "ValueError: a fault"]


def test_lost_connections_are_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = beam_logger(DATA_LOGGER)
    before = list(logger.filters)
    hide_lost_connections()
    try:
        for error in (grpc.RpcError("gone"), ValueError("a fault")):
            try:
                raise error
            except Exception:
                logger.exception("failed")
    finally:
        logger.filters[:] = before
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [("a fault",)]


def test_beam_takes_no_pipeline_for_an_interactive_one_within_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object))  # type: ignore[arg-type]
    from apache_beam.utils import interactive_utils

    assert interactive_utils.is_in_ipython()
    with without_interactive_beam():
        # Outside of the block, this imports `apache_beam.runners.interactive`.
        interactive_utils.alter_label_if_ipython(object(), None)
        assert not apache_beam.pipeline.is_in_ipython()
    assert apache_beam.pipeline.is_in_ipython()
