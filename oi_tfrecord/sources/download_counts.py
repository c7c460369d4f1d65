"""What a download counts: the text of its progress line, its result, and the lines that describe the result."""

import collections
import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping

from oi_tfrecord.engine.progress_reports import REPORT_SECONDS
from oi_tfrecord.engine.progress_text import describe_share, format_size
from oi_tfrecord.settings.allowed_values import parse_max_rejects


@dataclasses.dataclass
class DownloadCounts:
    """How far a download is; the counts rise as images end, in any order.

    Attributes:
        rows: rows that were read, of images to download and of unusable ImageIDs.
        downloaded: images that were downloaded.
        kept: images that an earlier run had stored.
        size: bytes of the images that were downloaded.
        failed: number of images and rows that failed, by reason.
    """

    rows: int = 0
    downloaded: int = 0
    kept: int = 0
    size: int = 0
    failed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


@dataclasses.dataclass
class DownloadStatus:
    """Describes how far a download is.

    Attributes:
        counts: the counts, which rise meanwhile.
        total: number of images, estimated.
        clock: returns seconds.
        seconds: least time between two texts.
    """

    counts: DownloadCounts
    total: int
    clock: Callable[[], float] = time.monotonic
    seconds: float = REPORT_SECONDS

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def parts(self) -> list[str]:
        """Returns what describes the download now, the most important first."""
        counts, failures = self.counts, self.counts.failed.total()
        elapsed = max(self.clock() - self._begun, 1e-3)
        requested = counts.downloaded + failures
        done = requested + counts.kept
        total = max(self.total, done)
        # Images that were there before took no time, so the rest is estimated without them.
        return [
            *describe_share(requested, total - counts.kept, elapsed, counts.kept),
            f"{done:,}/{total:,} images",
            f"{requested / elapsed:,.0f}/s",
            f"{counts.size / elapsed / 1e6:,.0f} MB/s",
            f"{failures:,} failed",
        ]


@dataclasses.dataclass(frozen=True)
class DownloadResult:
    """What a download did.

    Attributes:
        rows: images and unusable rows of the metadata that were to be downloaded.
        downloaded: images that were downloaded.
        kept: images that an earlier run had stored.
        size: bytes of the images that were downloaded.
        failed: number of images and rows that failed, by reason, the most frequent first.
        success_file: CSV of the images that are there, in the order of the metadata.
        failures_file: CSV of the images that failed, with reason, HTTP status and detail.
        max_rejects: the failures that were allowed, as `DownloadOptions.max_rejects`.
    """

    rows: int
    downloaded: int
    kept: int
    size: int
    failed: Mapping[str, int]
    success_file: pathlib.Path
    failures_file: pathlib.Path
    max_rejects: str

    @property
    def failures(self) -> int:
        """Number of images and rows that failed."""
        return sum(self.failed.values())

    @property
    def has_too_many_failures(self) -> bool:
        """Whether more failed than `max_rejects` allows."""
        limit, is_percentage = parse_max_rejects(self.max_rejects)
        return self.failures > (self.rows * limit / 100 if is_percentage else limit)


def summary_lines(result: DownloadResult) -> list[str]:
    """Returns the counts of a download and its lists as lines of text."""
    reasons = "".join(f", {reason} {count:,}" for reason, count in result.failed.items())
    return [
        f"{result.rows:,} images: {result.downloaded:,} downloaded ({format_size(result.size)}), "
        f"{result.kept:,} were there, {result.failures:,} failed{reasons}",
        f"listed in {result.success_file} and {result.failures_file}",
    ]


def describe_failures(result: DownloadResult) -> str:
    """Returns the error of a download with too many failures."""
    return (
        f"{result.failures:,} of {result.rows:,} failed, more than --max_rejects={result.max_rejects} allows; they are "
        f"listed in {result.failures_file}. Run the same command again to try them again, or give a higher "
        "--max_rejects."
    )
