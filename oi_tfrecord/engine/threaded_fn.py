"""What the steps that work on whole ranges or shards have in common."""

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_reports import WRITE, Reporter
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.engine.threads import Lanes


class LaneWorker(beam.DoFn):
    """Works on several elements at once, and reports how far it is as `self._reporter`."""

    def __init__(self, work: WorkFolder, stage: str, lanes: int):
        """Initializes the instance.

        Args:
            work: folder that the reports go to.
            stage: SCAN, READ or WRITE.
            lanes: elements that it works on at once.
        """
        self._work = work
        self._stage = stage
        self._lane_count = lanes

    def setup(self) -> None:
        # Worker processes that another runner starts have not done it yet.
        share_freed_memory()
        self._reporter = Reporter(self._work, self._stage)
        self._lanes: Lanes[Iterable[object]] = Lanes(self._lane_count)

    def run(self, function: Callable[..., Iterable[object]], *arguments: object) -> Iterator[object]:
        """Starts a function, which returns outputs, and yields outputs of those that have ended."""
        for outputs in self._lanes.submit(function, *arguments):
            yield from outputs

    def finish_bundle(self) -> Iterator[object]:
        for outputs in self._lanes.drain():
            yield from map(_in_global_window, outputs)

    def teardown(self) -> None:
        self._lanes.close()
        self._reporter.flush()


class ShardWorker(LaneWorker):
    """A step whose elements are shards."""

    def __init__(self, work: WorkFolder, lanes: int):
        """Initializes the instance.

        Args:
            work: folder that the reports go to.
            lanes: shards that it works on at once.
        """
        super().__init__(work, WRITE, lanes)


def _in_global_window(output: object) -> object:
    """Returns what the end of a bundle, which has no element and thus no window of one, may yield."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, _in_global_window(output.value))
    return GlobalWindows.windowed_value(output)
