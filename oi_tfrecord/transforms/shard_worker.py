"""What the steps that work on whole shards have in common."""

import apache_beam as beam

from oi_tfrecord.allocator import keep_freed_memory
from oi_tfrecord.progress import WRITE, Reporter
from oi_tfrecord.work_folder import WorkFolder


class ShardWorker(beam.DoFn):
    """Keeps freed memory for the next shard, and reports how far it is as `self._reporter`."""

    def __init__(self, work: WorkFolder):
        """Args:
        work: folder that the reports go to.
        """
        self._work = work

    def setup(self) -> None:
        keep_freed_memory()
        self._reporter = Reporter(self._work, WRITE)

    def teardown(self) -> None:
        self._reporter.flush()
