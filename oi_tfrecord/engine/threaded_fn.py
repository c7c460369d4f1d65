"""Base classes of the steps that work on whole ranges or shards."""

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_reports import WRITE, Reporter
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.engine.step_metrics import StepMetrics
from oi_tfrecord.engine.threads import ThreadPool


class ThreadedFn(beam.DoFn):
    """Works on several elements at once, each on its own thread.

    Functions report their progress to `self._reporter` and count in `self._metrics`.
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

    def setup(self) -> None:
        """Starts the threads."""
        # Worker processes that another runner starts have not done it yet.
        share_freed_memory()
        self._reporter = Reporter(self._work, self._stage)
        self._metrics = StepMetrics()
        self._pool: ThreadPool[Iterable[object]] = ThreadPool(self._thread_count)

    def run(self, function: Callable[..., Iterable[object]], *arguments: object) -> Iterator[object]:
        """Starts a function that returns outputs, and yields the outputs of functions that have ended."""
        for outputs in self._pool.submit(function, *arguments):
            yield from outputs
        self._metrics.publish()

    def finish_bundle(self) -> Iterator[object]:
        """Yields the outputs of the functions that still run, when they have ended."""
        for outputs in self._pool.drain():
            yield from map(_in_global_window, outputs)
        self._metrics.publish()

    def teardown(self) -> None:
        """Ends the threads, and writes the last report."""
        self._pool.close()
        self._reporter.flush()


class ShardFn(ThreadedFn):
    """A step whose elements are shards."""

    def __init__(self, work: WorkFolder, threads: int):
        """Starts no thread yet.

        Args:
            work: folder of the reports.
            threads: shards to work on at once.
        """
        super().__init__(work, WRITE, threads)


def _in_global_window(output: object) -> object:
    """Returns an output as the end of a bundle may yield it: no element gives it a window there."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, _in_global_window(output.value))
    return GlobalWindows.windowed_value(output)
