"""A job that was handed to a runner elsewhere: where it can be watched, how it is cancelled, what it says."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from oi_tfrecord.engine.beam_flags import value_of
from oi_tfrecord.engine.beam_internals import find_dataflow_job, find_portable_job, forward_messages

Note = Callable[[str], None]
"""Takes a line for the user."""


def ignore_note(line: str) -> None:
    """Ignores a line; a Note."""


class SubmittedJob:
    """Says what a runner elsewhere reports about a job; there is none until `submit` is called."""

    def __init__(self, note: Note = ignore_note):
        """Waits for a job.

        Args:
            note: takes where the job can be watched, and the job's own messages.
        """
        self.note = note
        self._result: Any = None

    def submit(self, result: Any, beam_arguments: tuple[str, ...]) -> None:
        """Takes the job, and notes its ID, its page and how to cancel the job.

        Args:
            result: what Beam's `Pipeline.run` returned.
            beam_arguments: Beam's flags.
        """
        self._result = result
        for line in describe_job(result, beam_arguments):
            self.note(line)

    def state(self) -> str:
        """Returns the state that the engine reports, such as `RUNNING`; empty where none can be asked for."""
        if self._result is None:
            return ""
        with contextlib.suppress(Exception):
            return str(self._result.state)
        return "no state: it does not answer"

    @contextlib.contextmanager
    def messages(self) -> Iterator[None]:
        """Notes the job's messages of level BASIC during the block; Beam shows those of higher levels itself."""
        with forward_messages(self._result, self.note):
            yield


def describe_job(result: Any, beam_arguments: tuple[str, ...]) -> list[str]:
    """Returns lines that name a job, its page and the command that cancels the job.

    Args:
        result: what Beam's `Pipeline.run` returned.
        beam_arguments: Beam's flags.
    """
    if found := find_dataflow_job(result):
        project = found.project or value_of(beam_arguments, "--project")
        region = found.region or value_of(beam_arguments, "--region")
        page = f"https://console.cloud.google.com/dataflow/jobs/{region}/{found.job_id}?project={project}"
        return [
            f"job        {found.job_id}",
            f"watch      {page}",
            f"cancel     gcloud dataflow jobs cancel {found.job_id} --project={project} --region={region}",
        ]
    if job_id := find_portable_job(result):
        endpoint = value_of(beam_arguments, "--job_endpoint")
        where = f" on the job server {endpoint}" if endpoint else ""
        return [f"job        {job_id}{where}; the engine's own page shows the job, and cancels it"]
    return []
