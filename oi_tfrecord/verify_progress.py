"""How far a verification is, as a line on standard error."""

import contextlib
import json
import time

from oi_tfrecord.progress import ProgressLine
from oi_tfrecord.work_folder import WorkFolder


class VerifyProgress(ProgressLine):
    """Prints how far a verification is; workers report as those of a conversion do."""

    def __init__(self, work: WorkFolder, num_shards: int):
        """Args:
        work: folder of the reports.
        num_shards: shards to verify.
        """
        super().__init__(work, total_bytes=0, num_shards=num_shards, finished_shards=0)
        self._folder = work
        self._shards = num_shards
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
        return (
            f"[{elapsed:.0f} s] {records:,.0f} records verified, {records / elapsed:,.0f} records/s, "
            f"{size / elapsed / 1e6:,.0f} MB/s, {faults:,.0f} faults, {int(shards):,} of {self._shards:,} shards"
        )
