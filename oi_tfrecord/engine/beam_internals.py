"""What this room uses of Beam beyond its public interface, to be looked at with each new version of Beam.

It holds for Beam VERSIONS. tests/engine/test_beam_internals.py has a test for each use. `beam_options` overrides a
method of Beam's options; `oi_tfrecord.storage` has uses of its own.
"""

import argparse
import contextlib
import functools
import importlib.util
import logging
import pathlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from oi_tfrecord.errors import EncodedFileError, InputError, OiTfrecordError, StorageError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo

VERSIONS = ">=2.65,<3"
"""Versions of Beam as setup.py requires them; the tests are run with 2.77."""

STEP_LOGGERS = ("runners.common", "runners.worker.sdk_worker", "runners.portability.local_job_service")
"""Loggers of Beam that log the error of a step."""

WORKER_COUNT_LOGGERS = (
    "runners.portability.fn_api_runner.fn_runner",
    "runners.portability.local_job_service",
)
"""Loggers of Beam that log the number of local workers."""

DATA_LOGGER = "runners.worker.data_plane"
"""Logger of Beam's connections to worker processes."""

SERVER_LOGGER = "utils.subprocess_server"
"""Logger of Beam's job servers, which Beam downloads."""

DATAFLOW_LOGGER = "runners.dataflow.dataflow_runner"
"""Logger of Beam that logs the state and the messages of a job on Dataflow."""

WORKER_THREAD = "run_worker"
"""Name of the thread in which Beam waits for a worker process; it raises when the process dies, and the run hangs."""

_KNOWN_ERRORS = (InputError, StorageError, EncodedFileError)


@functools.cache
def find_flag_names() -> frozenset[str]:
    """Returns the names of Beam's flags with the dashes, without importing Beam, and some that only comments name."""
    beam = importlib.util.find_spec("apache_beam")
    places = list(beam.submodule_search_locations or ()) if beam else []
    paths = [pathlib.Path(place, "options", "pipeline_options.py") for place in places]
    paths.append(pathlib.Path(__file__).parents[1] / "storage" / "store_flags.py")
    texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
    return frozenset(re.findall(r"""['"](--[\w-]+)['"]""", "".join(texts)))


@functools.cache
def find_flags() -> Mapping[str, argparse.Action]:
    """Returns Beam's flags by name with the dashes, those of all runners that are installed."""
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    # Importing the module adds its flags to those that Beam's option classes have.
    from oi_tfrecord.storage import store_flags as store_flags

    parser = _BeamArgumentParser(add_help=False, allow_abbrev=False)
    pending = [PipelineOptions]
    while pending:
        options = pending.pop()
        pending.extend(options.__subclasses__())
        if options is not PipelineOptions and "_add_argparse_args" in vars(options):
            try:
                options._add_argparse_args(parser)
            except argparse.ArgumentError:
                continue
    return {name: action for action in parser._actions for name in action.option_strings if name.startswith("-")}


def find_option_problems(options: "PipelineOptions", runner: object, *, checks_google: bool) -> list[str]:
    """Returns what Beam's validator finds wrong with the options of a pipeline.

    Beam's own check of GoogleCloudOptions is left out: where the two folders are bad, it makes a bucket and sends
    requests.

    Args:
        options: the options.
        runner: Beam's runner.
        checks_google: whether to check the options of Google Cloud without requests.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

    validator = PipelineOptionsValidator(options, runner)
    validator.OPTIONS = [view for view in validator.OPTIONS if view is not GoogleCloudOptions]
    problems: list[str] = []
    if checks_google:
        google = options.view_as(GoogleCloudOptions)
        in_temp = validator.validate_gcs_path(google, "temp_location")
        in_staging = validator.validate_gcs_path(google, "staging_location")
        # One of the two folders is enough.
        if in_temp and in_staging:
            problems += in_temp if google.temp_location or not google.staging_location else in_staging
        problems += validator.validate_cloud_options(google)
    return problems + validator.validate()


def make_provision_info(options: "PipelineOptions") -> "ExtendedProvisionInfo":
    """Returns the message that gives worker processes the options of a pipeline; Beam's own message has none.

    Args:
        options: options of the pipeline, with those of file systems.
    """
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.job import utils
    from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo

    values = {
        # A protobuf Struct has no integers: 2 would come back as 2.0.
        name: str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in options.get_all_options(drop_default=True).items()
        if isinstance(value, (str, int, float, bool, list))
    }
    return ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=utils.dict_to_struct(values)))


def is_worker_thread(thread: threading.Thread | None) -> bool:
    """Returns whether Beam waits in a thread for a worker process."""
    return thread is not None and thread.name == WORKER_THREAD


def is_of_step(error: Exception) -> bool:
    """Returns whether a step raised an error: a runner within this process runs the job while the job is submitted."""
    return isinstance(error, OiTfrecordError) or "[while running " in str(error)


def find_engine_message(error: Exception) -> str:
    """Returns the message of an engine such as Flink that gave a job up; empty for any other error.

    Args:
        error: what a job server's runner raised; its text names the state of the job and the engine's last message
            (`PipelineResult._observe_state` of Beam's portable_runner).
    """
    found = re.match(
        r"Pipeline \S+ failed in state FAILED: (?:[\w.$]+(?:Exception|Error): )*(.*)", str(error), re.DOTALL
    )
    return "" if found is None or "Traceback (most recent call last)" in found[1] else found[1]


class DataflowJob(NamedTuple):
    """A job on Dataflow."""

    job_id: str
    project: str
    region: str


def find_dataflow_job(result: Any) -> DataflowJob | None:
    """Returns the job on Dataflow that Beam's `Pipeline.run` returned; None for any other result."""
    job = getattr(result, "_job", None)
    if job is None or not getattr(job, "id", ""):
        return None
    return DataflowJob(job.id, getattr(job, "project_id", ""), getattr(job, "location", ""))


def find_portable_job(result: Any) -> str:
    """Returns the ID of the job on a job server that Beam's `Pipeline.run` returned; empty for any other result."""
    return str(getattr(result, "_job_id", ""))


@contextlib.contextmanager
def forward_messages(result: Any, note: Callable[[str], None]) -> Iterator[None]:
    """Notes the messages of level BASIC of a job during the block; Beam logs those of higher levels.

    Args:
        result: what Beam's `Pipeline.run` returned.
        note: takes the text of a message.
    """
    if hasattr(result, "_message_stream"):
        # Beam logs these messages by the root logger, whose level is that of all libraries.
        result._message_stream = _note_messages(result._message_stream, note)
    logger, added = beam_logger(DATAFLOW_LOGGER), _NoteInfo(note)
    level = logger.level
    logger.addFilter(added)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeFilter(added)
        logger.setLevel(level)


def _note_messages(stream: Iterable[Any], note: Callable[[str], None]) -> Iterator[Any]:
    from apache_beam.portability.api import beam_job_api_pb2

    basic = beam_job_api_pb2.JobMessage.JOB_MESSAGE_BASIC
    for message in stream:
        response = message.message_response
        if message.HasField("message_response") and response.importance == basic:
            note(response.message_text)
        yield message


class _NoteInfo(logging.Filter):
    """Hands Beam's messages of level INFO about a job on Dataflow to a function, in place of the log."""

    def __init__(self, note: Callable[[str], None]):
        super().__init__()
        self._note = note

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return True
        if found := re.search(r"JOB_MESSAGE_BASIC: (.*)|(Job \S+ is in state .*)", record.getMessage(), re.DOTALL):
            self._note(found[1] or found[2])
        return False


@contextlib.contextmanager
def without_interactive_beam() -> Iterator[None]:
    """Keeps Beam from taking a pipeline in a notebook for an interactive one, within the block.

    Beam would import what `apache_beam[interactive]` needs, which fails with pandas 3, and change the labels of steps.
    """
    from apache_beam import pipeline
    from apache_beam.utils import interactive_utils

    modules: list[Any] = [pipeline, interactive_utils]
    asked = [(module, module.is_in_ipython) for module in modules]
    for module, _ in asked:
        module.is_in_ipython = lambda: False
    try:
        yield
    finally:
        for module, is_in_ipython in asked:
            module.is_in_ipython = is_in_ipython


def hide_known_errors() -> None:
    """Keeps Beam from logging the traceback of an error that the command prints in one line at its end."""
    for name in STEP_LOGGERS:
        beam_logger(name).addFilter(_is_no_known_error)
    # Messages of an engine about its workers are logged there.
    logging.getLogger().addFilter(_is_no_known_error)


def hide_worker_counts() -> None:
    """Keeps Beam from logging the number of local workers, which this program chooses."""
    for name in WORKER_COUNT_LOGGERS:
        beam_logger(name).setLevel(logging.ERROR)


def hide_downloads() -> None:
    """Keeps Beam from warning, in many lines, that it downloads a job server; if that fails, one error says so."""
    beam_logger(SERVER_LOGGER).setLevel(logging.ERROR)


def hide_lost_connections() -> None:
    """Keeps Beam from logging that connections to a worker process fail, which only follows from its death."""
    beam_logger(DATA_LOGGER).addFilter(_is_no_lost_connection)


def beam_logger(name: str) -> logging.Logger:
    """Returns a logger of Beam by the name of its module."""
    return logging.getLogger(f"apache_beam.{name}")


def _is_no_known_error(record: logging.LogRecord) -> bool:
    # Beam logs the error as an exception in one place, as the text of a traceback in another.
    error = record.exc_info[1] if record.exc_info else None
    text = record.getMessage()
    names = (f"{kind.__module__}.{kind.__qualname__}: " for kind in _KNOWN_ERRORS)
    return not isinstance(error, _KNOWN_ERRORS) and not any(name in text for name in names)


def _is_no_lost_connection(record: logging.LogRecord) -> bool:
    import grpc  # type: ignore[import-untyped]

    error: Any = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, grpc.RpcError)
