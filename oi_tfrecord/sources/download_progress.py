"""How far a download is: one line, written over on a terminal."""

import collections
import dataclasses
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from oi_tfrecord.engine.progress_line import StatusLine


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


class Counts(Protocol):
    """What a download counts."""

    downloaded: int
    kept: int
    size: int

    @property
    def failures(self) -> int:
        """Images that failed."""


class DownloadLine(StatusLine):
    """Prints the line until it is stopped; in a log, a line every half minute."""

    def __init__(
        self,
        counts: Counts,
        total: int,
        out: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Initializes the instance.

        Args:
            counts: what is printed; they rise meanwhile.
            total: images, estimated.
            out: where to print.
            clock: seconds.
        """
        super().__init__(out, framed=False)
        self._counts = counts
        self._total = total
        self._clock = clock
        self._begun = clock()

    def text(self) -> str:
        """Returns the line for now."""
        counts = self._counts
        elapsed = max(self._clock() - self._begun, 1e-3)
        asked = counts.downloaded + counts.failures
        done = asked + counts.kept
        # What was there takes no time, so that it tells nothing of the rest.
        left = f", {elapsed * (self._total - done) / asked / 60:,.0f} min left" if asked and done < self._total else ""
        return (
            f"{done:,} of about {max(self._total, done):,} images, {asked / elapsed:,.0f} images/s, "
            f"{counts.size / elapsed / 1e6:,.1f} MB/s, {counts.failures:,} failed{left}"
        )
