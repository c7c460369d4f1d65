"""What a download counts, and what its progress line says."""

import collections
import dataclasses
import time
from collections.abc import Callable

from oi_tfrecord.engine.progress_reports import REPORT_SECONDS


@dataclasses.dataclass
class DownloadCounts:
    """How far a download is; the counts rise as images end, in any order."""

    rows: int = 0
    downloaded: int = 0
    kept: int = 0
    size: int = 0
    failed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def failures(self) -> int:
        """Images and rows that failed."""
        return self.failed.total()


@dataclasses.dataclass
class DownloadStatus:
    """Says how far a download is.

    Attributes:
        counts: rise meanwhile.
        total: images, estimated.
        clock: seconds.
    """

    counts: DownloadCounts
    total: int
    clock: Callable[[], float] = time.monotonic
    seconds: float = REPORT_SECONDS

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def text(self) -> str:
        """Returns the line for now."""
        counts = self.counts
        elapsed = max(self.clock() - self._begun, 1e-3)
        requested = counts.downloaded + counts.failures
        done = requested + counts.kept
        # Images that were there before took no time, so the rest is estimated without them.
        rest = self.total - done
        left = f", {elapsed * rest / requested / 60:,.0f} min left" if requested and rest > 0 else ""
        return (
            f"{done:,} of about {max(self.total, done):,} images, {requested / elapsed:,.0f} images/s, "
            f"{counts.size / elapsed / 1e6:,.1f} MB/s, {counts.failures:,} failed{left}"
        )
