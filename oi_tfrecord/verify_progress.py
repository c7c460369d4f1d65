"""How far a command is that reads or writes whole shards, as a line on standard error."""

import contextlib
import json
import time

from oi_tfrecord.progress import ProgressLine
from oi_tfrecord.work_folder import WorkFolder


class VerifyProgress(ProgressLine):
    """Prints how many records and shards are done; workers report as those of a conversion do."""

    def __init__(self, work: WorkFolder, num_shards: int, done: str = "verified"):
        """Args:
        work: folder of the reports.
        num_shards: shards to verify.
        done: what is done with the records.
        """
        super().__init__(work, total_bytes=0, num_shards=num_shards, finished_shards=0)
        self._folder = work
        self._shards = num_shards
        self._done = done
        self._start = time.time()

    def text(self) -> str:
        """Returns the line for now."""
        reports: list[dict[str, float]] = []
        with contextlib.suppress(OSError, ValueError):
            reports = [json.loads(data) for data in self._folder.progress()]
        records, size, faults, shards = (
            sum(report[name] for report in reports) for name in ("records", "bytes", "rejects", "shards")
        )
        elapsed = max(time.time() - self._start, 1e-3)
        found = f"{faults:,.0f} faults, " if self._done == "verified" else ""
        return (
            f"[{elapsed:.0f} s] {records:,.0f} records {self._done}, {records / elapsed:,.0f} records/s, "
            f"{size / elapsed / 1e6:,.0f} MB/s, {found}{int(shards):,} of {self._shards:,} shards"
        )
