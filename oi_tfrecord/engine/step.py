"""Base classes of the steps that work on whole ranges or shards, in a pipeline of Beam or in this process alone."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_reports import WRITE, Reporter
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.engine.step_metrics import StepMetrics
from oi_tfrecord.engine.threads import ThreadPool


@dataclasses.dataclass(frozen=True)
class Tagged:
    """An output of a step beside its main output.

    Attributes:
        tag: name of the output.
        value: an element.
    """

    tag: str
    value: Any


class Step:
    """Works on several elements at once, each on its own thread.

    `StepFn` makes a step of a Beam pipeline from it, `run_step` runs it in this process. Functions report their
    progress to `self._reporter` and count in `self.metrics`.
    """

    def __init__(self, work: WorkFolder, stage: str, threads: int):
        """Starts no thread yet, as the step may be sent to another process.

        Args:
            work: folder of the reports.
            stage: SCAN, READ or WRITE.
            threads: elements to work on at once.
        """
        self._work = work
        self._stage = stage
        self._thread_count = threads

    def start(self) -> None:
        """Starts the threads."""
        # Worker processes that another runner starts have not done it yet.
        share_freed_memory()
        self._reporter = Reporter(self._work, self._stage)
        self.metrics = StepMetrics()
        self._pool: ThreadPool[Iterable[object]] = ThreadPool(self._thread_count)

    def process(self, element: Any, *arguments: Any) -> Iterator[object]:
        """Starts the work on an element, and yields the outputs, with Tagged ones, of work that has ended.

        Args:
            element: what to work on.
            arguments: values that are the same for all elements.
        """
        raise NotImplementedError

    def run(self, function: Callable[..., Iterable[object]], *arguments: object) -> Iterator[object]:
        """Starts a function that returns outputs, and yields the outputs of functions that have ended."""
        for outputs in self._pool.submit(function, *arguments):
            yield from outputs

    def drain(self) -> Iterator[object]:
        """Yields the outputs of the functions that still run, when they have ended."""
        for outputs in self._pool.drain():
            yield from outputs

    def stop(self) -> None:
        """Ends the threads, and writes the last report."""
        self._pool.close()
        self._reporter.flush()


class ShardStep(Step):
    """A step whose elements are shards."""

    def __init__(self, work: WorkFolder, threads: int):
        """Starts no thread yet.

        Args:
            work: folder of the reports.
            threads: shards to work on at once.
        """
        super().__init__(work, WRITE, threads)


def run_step(step: Step, elements: Iterable[Any], *arguments: Any) -> Iterator[Any]:
    """Yields the outputs of a step that works in this process, in any order.

    Args:
        step: the step.
        elements: what to work on.
        arguments: values that are the same for all elements.
    """
    step.start()
    try:
        for element in elements:
            yield from step.process(element, *arguments)
        yield from step.drain()
    finally:
        step.stop()


def run_to_end(step: Step, elements: Iterable[Any]) -> None:
    """Runs a step in this process whose outputs nobody needs; see `run_step`."""
    for _ in run_step(step, elements):
        pass
