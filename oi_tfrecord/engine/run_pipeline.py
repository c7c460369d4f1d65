"""Runs a pipeline on the runner of the command line, or locally."""

import contextlib
import dataclasses
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from oi_tfrecord.engine.beam_flags import is_local
from oi_tfrecord.engine.local_worker import keep_told_errors_off_the_log
from oi_tfrecord.errors import EngineError, RunnerError
from oi_tfrecord.storage.faults import RERUN, one_line
from oi_tfrecord.storage.optional_imports import without


def import_beam_quietly(beam_arguments: Sequence[str] = ()) -> None:
    """Imports Beam, which warns of optional packages that it misses; a user can do nothing about them.

    Args:
        beam_arguments: flags that Beam owns; a pipeline that runs on this machine needs less of it.
    """
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    with without() if is_local(beam_arguments) else contextlib.nullcontext():
        import apache_beam  # noqa: F401

    logging.getLogger().setLevel(level)
    keep_told_errors_off_the_log()


@dataclasses.dataclass(frozen=True)
class Job:
    """A job that was built, but not submitted.

    Attributes:
        steps: number of transforms, those of Beam's within ours included.
        size: bytes of its graph.
        staged: names of the files that workers get.
    """

    steps: int
    size: int
    staged: tuple[str, ...]


def build_job(beam_arguments: Sequence[str], build: Callable[[Any], Any]) -> Job:
    """Builds the job of a runner that honours Beam's `--dry_run`, which must be given.

    Args:
        beam_arguments: flags that Beam owns.
        build: adds the steps to the pipeline it is given.
    """
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import beam_runner_api_pb2

    pipeline = Pipeline(options=PipelineOptions(list(beam_arguments)))
    build(pipeline)
    result: Any = pipeline.run()
    graph = result.job.proto_pipeline
    staged = [
        beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(dependency.role_payload).staged_name
        for environment in graph.components.environments.values()
        for dependency in environment.dependencies
    ]
    return Job(len(graph.components.transforms), graph.ByteSize(), tuple(sorted(set(staged))))


def run_pipeline(
    beam_arguments: Sequence[str],
    processes: int,
    shown: contextlib.AbstractContextManager[object],
    build: Callable[[Any], Any],
) -> None:
    """Builds a pipeline and runs it to its end.

    Args:
        beam_arguments: flags that Beam owns; without `--runner` the pipeline runs on this machine.
        processes: local worker processes.
        shown: block that the run is in, as the one of a progress line.
        build: adds the steps to the pipeline it is given.

    Raises:
        EngineError, RunnerError: if the job was handed to a runner elsewhere and failed there.
    """
    from apache_beam import Pipeline

    from oi_tfrecord.engine.beam_options import KeptOptions
    from oi_tfrecord.engine.local_runner import ended_by_interrupt, make_local_runner

    arguments = list(beam_arguments)
    local = is_local(beam_arguments)
    if local:
        arguments.append(f"--direct_num_workers={processes}")
        # Both tell of the number of workers, which is our choice here.
        for name in ("fn_api_runner.fn_runner", "local_job_service"):
            logging.getLogger(f"apache_beam.runners.portability.{name}").setLevel(logging.ERROR)
    options = KeptOptions(arguments)
    pipeline = Pipeline(runner=make_local_runner(options, processes) if local else None, options=options)
    build(pipeline)
    with shown, ended_by_interrupt() if local else contextlib.nullcontext():
        _run_to_end(pipeline, local)


def _run_to_end(pipeline: Any, local: bool) -> None:
    import grpc  # type: ignore[import-untyped]

    try:
        result = pipeline.run()
    except grpc.FutureTimeoutError as error:
        problem = "no job server answers (--job_endpoint is where it is, --job_server_timeout how long to wait for it)"
        raise RunnerError(problem) from error
    try:
        result.wait_until_finish()
    except grpc.RpcError as error:
        # Nobody is left to tell more; gRPC's own text is that of its objects.
        raise RunnerError(f"its job server is gone ({error.code().name}, {error.details()})") from error
    except Exception as error:
        if local:
            raise
        raise of_engine(error) or RunnerError(str(error)) from error


def of_engine(error: Exception) -> EngineError | None:
    """Returns what a user is told if a job server's engine gave a job up, None for anything else.

    Args:
        error: what the runner raised; it names the state of the job and the last that the engine said
            (`PipelineResult._observe_state` of Beam's portable_runner).
    """
    said = re.match(
        r"Pipeline \S+ failed in state FAILED: (?:[\w.$]+(?:Exception|Error): )*(.*)", str(error), re.DOTALL
    )
    if said is None or "Traceback (most recent call last)" in said[1]:
        return None
    remedy = "A worker or a machine may have been lost, or out of memory; the engine's log says more. See to it"
    return EngineError(one_line(RuntimeError(said[1])), f"{remedy}, {RERUN}")
