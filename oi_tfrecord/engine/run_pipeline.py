"""Runs a pipeline: on this machine, or on the runner that Beam's flags name."""

import contextlib
import dataclasses
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from oi_tfrecord.engine.beam_flags import runs_here, to_beam_flags, without_store_keys
from oi_tfrecord.engine.beam_internals import (
    find_engine_message,
    hide_downloads,
    hide_known_errors,
    hide_worker_counts,
    is_of_step,
    without_interactive_beam,
)
from oi_tfrecord.engine.local_end import ended_by_interrupt
from oi_tfrecord.engine.submitted_job import SubmittedJob
from oi_tfrecord.errors import EngineError, RunnerError
from oi_tfrecord.storage.faults import RERUN, one_line
from oi_tfrecord.storage.optional_imports import without

Result = TypeVar("Result")

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's default is 700; so many take some 5 MB."""


def import_beam_quietly(beam_arguments: Sequence[str] = ()) -> None:
    """Imports Beam without its warnings of optional packages that are missing: a user need not install them.

    Args:
        beam_arguments: Beam's flags; a pipeline that runs on this machine needs less of Beam.
    """
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    with without() if runs_here(beam_arguments) else contextlib.nullcontext():
        import apache_beam  # noqa: F401

    logging.getLogger().setLevel(level)
    hide_known_errors()


def needs_beam(beam_arguments: Sequence[str], processes: int) -> bool:
    """Returns whether a run needs Beam: one process of this machine does the steps one after the other without Beam.

    Args:
        beam_arguments: flags of Beam, any of which Beam gets.
        processes: worker processes.
    """
    return bool(beam_arguments) or processes > 1


def run_here(shown: contextlib.AbstractContextManager[object], work: Callable[[], Result]) -> Result:
    """Runs the steps of a pipeline in this process, without Beam; returns what they return.

    Args:
        shown: block around the run, such as that of a progress line.
        work: the steps.
    """
    with shown, ended_by_interrupt(), rare_garbage_collections():
        return work()


def run_steps(
    beam_arguments: Sequence[str],
    processes: int,
    shown: contextlib.AbstractContextManager[object],
    build: Callable[[Any], Any],
    here: Callable[[], object],
    job: SubmittedJob | None = None,
) -> None:
    """Runs steps to their end: as a pipeline of Beam, or in this process where they do not need Beam.

    Args:
        beam_arguments: see `run_pipeline`, as `processes`, `shown` and `job`.
        processes: local worker processes.
        shown: block around the run.
        build: adds the steps to a pipeline; what it imports finds Beam imported.
        here: does the same steps without Beam.
        job: learns of a job that a runner elsewhere takes.
    """
    if needs_beam(beam_arguments, processes):
        import_beam_quietly(beam_arguments)
        run_pipeline(beam_arguments, processes, shown, build, job)
    else:
        run_here(shown, here)


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that was built, but not submitted.

    Attributes:
        steps: number of transforms, with those of Beam within ours.
        size: bytes of the graph.
        staged: names of the files that workers get.
    """

    steps: int
    size: int
    staged: tuple[str, ...]


@without_interactive_beam()
def build_job(beam_arguments: Sequence[str], build: Callable[[Any], Any]) -> Job:
    """Builds the job of a runner that knows Beam's `--dry_run`, which must be given.

    Args:
        beam_arguments: Beam's flags.
        build: adds the steps to a pipeline.
    """
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import beam_runner_api_pb2

    pipeline = Pipeline(options=PipelineOptions(without_store_keys(beam_arguments)))
    build(pipeline)
    result: Any = pipeline.run()
    graph = result.job.proto_pipeline
    staged = [
        beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(dependency.role_payload).staged_name
        for environment in graph.components.environments.values()
        for dependency in environment.dependencies
    ]
    return Job(len(graph.components.transforms), graph.ByteSize(), tuple(sorted(set(staged))))


@without_interactive_beam()
def run_pipeline(
    beam_arguments: Sequence[str],
    processes: int,
    shown: contextlib.AbstractContextManager[object],
    build: Callable[[Any], Any],
    job: SubmittedJob | None = None,
) -> None:
    """Builds a pipeline and runs it to its end.

    Args:
        beam_arguments: Beam's flags; without `--runner` the pipeline runs on this machine.
        processes: local worker processes.
        shown: block around the run, such as that of a progress line.
        build: adds the steps to a pipeline.
        job: learns of a job that a runner elsewhere takes.

    Raises:
        EngineError, RunnerError: if the job was handed to a runner elsewhere and failed there.
    """
    from apache_beam import Pipeline

    from oi_tfrecord.engine.beam_options import KeptOptions
    from oi_tfrecord.engine.local_runner import make_local_runner

    arguments = to_beam_flags(beam_arguments)
    local = runs_here(beam_arguments)
    if local:
        arguments.append(f"--direct_num_workers={processes}")
        hide_worker_counts()
    else:
        arguments = without_store_keys(arguments)
        hide_downloads()
    options = KeptOptions(arguments)
    pipeline = Pipeline(runner=make_local_runner(options, processes) if local else None, options=options)
    build(pipeline)
    if local:
        with shown, ended_by_interrupt(), rare_garbage_collections():
            pipeline.run().wait_until_finish()
        return
    with shown:
        _run_elsewhere(pipeline, tuple(beam_arguments), job or SubmittedJob())


@contextlib.contextmanager
def rare_garbage_collections() -> Iterator[None]:
    """Lets Python search for garbage cycles less often: the search took a twentieth of the time of a join.

    The steps make objects by the thousand, hardly any of them in cycles.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run_elsewhere(pipeline: Any, beam_arguments: tuple[str, ...], job: SubmittedJob) -> None:
    import grpc  # type: ignore[import-untyped]
    from apache_beam.runners.runner import PipelineState

    try:
        result = pipeline.run()
    except grpc.FutureTimeoutError as error:
        problem = "no job server answers (--job_endpoint is where it is, --job_server_timeout how long to wait for it)"
        raise RunnerError(problem) from error
    except Exception as error:
        if is_of_step(error):
            raise
        raise RunnerError(f"the job could not be submitted: {one_line(error)}") from error
    job.submit(result, beam_arguments)
    try:
        with job.messages():
            state = result.wait_until_finish()
    except grpc.RpcError as error:
        # gRPC's own text shows its objects, and no server is left to say more.
        raise RunnerError(f"its job server is gone ({error.code().name}, {error.details()})") from error
    except Exception as error:
        raise make_engine_error(error) or RunnerError(str(error)) from error
    if state in (PipelineState.CANCELLED, PipelineState.DRAINED, PipelineState.UPDATED, PipelineState.STOPPED):
        raise EngineError(f"the job ended in state {state}, before its last step", f"To finish, {RERUN}")


def make_engine_error(error: Exception) -> EngineError | None:
    """Returns the error to raise if a job server's engine gave a job up; None for any other error.

    Args:
        error: what the runner raised.
    """
    if not (message := find_engine_message(error)):
        return None
    remedy = "A worker or a machine may have been lost, or out of memory; the engine's log says more. See to it"
    return EngineError(one_line(RuntimeError(message)), f"{remedy}, {RERUN}")
