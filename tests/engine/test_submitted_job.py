import logging
from typing import Any

import pytest
from apache_beam.portability.api import beam_job_api_pb2

from oi_tfrecord.engine.beam_internals import DATAFLOW_LOGGER, beam_logger
from oi_tfrecord.engine.submitted_job import SubmittedJob, describe_job

FLAGS = ("--runner=DataflowRunner", "--project=my-project", "--region=us-central1")


class DataflowResult:
    """What Beam returns for a job on Dataflow."""

    state = "RUNNING"

    class _job:
        id = "2026-11-30_01_02_03-123"
        project_id = ""
        location = ""


class PortableResult:
    """What Beam returns for a job on a job server."""

    _job_id = "job_7"

    def __init__(self, *messages: Any):
        self._message_stream = iter(messages)

    @property
    def state(self) -> str:
        raise OSError("gone")


def message(text: str, importance: str) -> Any:
    response = beam_job_api_pb2.JobMessage(
        message_text=text, importance=beam_job_api_pb2.JobMessage.MessageImportance.Value(importance)
    )
    return beam_job_api_pb2.JobMessagesResponse(message_response=response)


def test_a_job_on_dataflow_is_named_with_its_page_and_how_to_cancel_it() -> None:
    job, watch, cancel = describe_job(DataflowResult(), FLAGS)
    assert job.endswith(" 2026-11-30_01_02_03-123")
    assert watch.endswith("/dataflow/jobs/us-central1/2026-11-30_01_02_03-123?project=my-project")
    assert cancel.endswith("cancel 2026-11-30_01_02_03-123 --project=my-project --region=us-central1")


def test_a_job_on_a_job_server_is_named() -> None:
    [line] = describe_job(PortableResult(), ("--job_endpoint=localhost:8099",))
    assert "job_7 on the job server localhost:8099" in line


def test_another_result_has_no_job() -> None:
    assert describe_job(object(), ()) == []


def test_the_state_is_that_of_the_engine() -> None:
    job = SubmittedJob()
    assert job.state() == ""
    job.submit(DataflowResult(), FLAGS)
    assert job.state() == "RUNNING"
    job.submit(PortableResult(), ())
    assert "does not answer" in job.state()


def test_basic_messages_of_a_job_server_are_noted() -> None:
    notes: list[str] = []
    stream = (message("3 workers", "JOB_MESSAGE_BASIC"), message("detail", "JOB_MESSAGE_DETAILED"))
    result = PortableResult(*stream)
    job = SubmittedJob(notes.append)
    job.submit(result, ())
    with job.messages():
        assert list(result._message_stream) == list(stream)
    assert notes[1:] == ["3 workers"]


def test_basic_messages_of_dataflow_are_noted_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    job = SubmittedJob(notes.append)
    job.submit(DataflowResult(), FLAGS)
    logger = beam_logger(DATAFLOW_LOGGER)
    with caplog.at_level(logging.DEBUG), job.messages():
        logger.info("2026-11-30T01:02:03Z: JOB_MESSAGE_BASIC: Worker pool started.")
        logger.info("Job 2026-11-30_01_02_03-123 is in state JOB_STATE_RUNNING")
        logger.info("Defaulting to the temp_location")
        logger.warning("quota")
    logger.info("after")
    assert notes[3:] == ["Worker pool started.", "Job 2026-11-30_01_02_03-123 is in state JOB_STATE_RUNNING"]
    assert [record.getMessage() for record in caplog.records] == ["quota"]
