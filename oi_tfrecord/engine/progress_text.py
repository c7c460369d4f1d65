"""What the progress line says of a run, from the reports of its workers."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_line import REMOTE_SECONDS, format_clock
from oi_tfrecord.engine.progress_reports import READ, REPORT_SECONDS, SCAN, WRITE
from oi_tfrecord.errors import OiTfrecordError

Item = TypeVar("Item")

SILENT_SECONDS = 300.0
"""How long nothing may finish before the progress line says so."""


SHORT_SECONDS = 2.0
"""How long a step takes at least to be named."""


@dataclasses.dataclass
class ConversionStatus:
    """Says how far a conversion is.

    Attributes:
        work: folder of the reports, or, on remote storage, of the results of finished shards.
        total_bytes: bytes of the CSV files; 0 if unknown, as they are compressed.
        num_shards: number of shards.
        finished_shards: how many an earlier run finished.
        clock: seconds, the clock of the reporters.
        engine_state: returns the state of the job that a runner elsewhere reports; empty for a run on this machine.
        expected_images: estimated number of images; 0 if unknown.
        runs_elsewhere: whether an engine runs the workers. It may lose workers, whose reports stay, so finished shards
            are counted by their results.
    """

    work: WorkFolder
    total_bytes: int
    num_shards: int
    finished_shards: int = 0
    clock: Callable[[], float] = time.time
    engine_state: Callable[[], str] = str
    expected_images: int = 0
    runs_elsewhere: bool = False

    def __post_init__(self) -> None:
        self._described: list[str] = []
        self._changed = self.clock()
        self._begun = self.clock()
        self._is_local = storage.is_local(self.work.path)
        # To look at remote storage costs a request.
        self.seconds = REPORT_SECONDS if self._is_local else REMOTE_SECONDS

    def parts(self) -> list[str]:
        """Returns what describes the run now, the most important first."""
        now = self.clock()
        reports = read_reports(self.work) if self._is_local else []
        if self._is_local and not self.runs_elsewhere:
            described = self._describe_reports(reports, now)
        else:
            described = self._describe_results([report for report in reports if report["stage"] == READ], now)
        return [*described, *self._describe_silence(described, now)]

    def _describe_silence(self, described: Sequence[str], now: float) -> list[str]:
        """Says that nothing changed for long, and what the engine reports; empty if something did."""
        # The time left changes even if no work is done.
        done = [part for part in described if not part.endswith(" left")]
        if done != self._described:
            self._described, self._changed = done, now
        if now - self._changed < SILENT_SECONDS:
            return []
        state = self.engine_state()
        return [
            f"nothing has finished for {format_clock(now - self._changed)}",
            *([f"engine: {state}"] if state else []),
        ]

    def _describe_results(self, reading: Sequence[Mapping[str, Any]], now: float) -> list[str]:
        try:
            done = self.work.count_results() - self.finished_shards
        except (OSError, OiTfrecordError):
            # Storage that fails here is no reason to end a run that may end well.
            return ["the number of finished shards cannot be read from the storage now"]
        if not done and reading:
            return self._describe_reading(reading)
        return self._describe_shards(done, now - self._begun, ())

    def _describe_reports(self, reports: Sequence[Mapping[str, Any]], now: float) -> list[str]:
        by_stage = {stage: [report for report in reports if report["stage"] == stage] for stage in (SCAN, READ, WRITE)}
        if by_stage[WRITE]:
            return self._describe_writing(by_stage[WRITE], _sum(by_stage[READ], "rejects"), now)
        if by_stage[SCAN] and not by_stage[READ]:
            return ["searching tables for line breaks within quotes", format_size(_sum(by_stage[SCAN], "bytes"))]
        return self._describe_reading(by_stage[READ])

    def _describe_reading(self, reading: Sequence[Mapping[str, Any]]) -> list[str]:
        size = _sum(reading, "bytes")
        # Headers are no rows, so the ranges never add up to the whole.
        share = [f"{min(100 * size / self.total_bytes, 100):.0f} %"] if self.total_bytes else []
        of_total = f"/{format_size(self.total_bytes)}" if self.total_bytes else ""
        rows, rejects = _sum(reading, "rows"), _sum(reading, "rejects")
        counted = [f"{rows:,.0f} rows", f"{format_size(size)}{of_total}", f"{rejects:,.0f} rejects"]
        return [*share, "reading tables", *counted]

    def _describe_writing(self, writing: Sequence[Mapping[str, Any]], row_rejects: float, now: float) -> list[str]:
        elapsed = max(now - min(report["begun"] for report in writing), 1e-3)
        records, size = _sum(writing, "records"), _sum(writing, "bytes")
        rejects = row_rejects + _sum(writing, "rejects")
        retries = sum(report.get("retries", 0) for report in writing)
        of_total = f"/{max(records, self.expected_images):,.0f}" if self.expected_images else ""
        counted = (
            f"{records:,.0f}{of_total} images",
            f"{records / elapsed:,.0f}/s",
            f"{size / elapsed / 1e6:,.0f} MB/s",
            f"{rejects:,.0f} rejects",
            *([f"{retries:,} requests sent again"] if retries else []),
        )
        return self._describe_shards(_sum(writing, "shards"), elapsed, counted)

    def _describe_shards(self, done: float, elapsed: float, counted: Sequence[str]) -> list[str]:
        """Describes the shards, of which this run has done `done` in `elapsed` seconds; part of a shard counts."""
        # A shard that is written again, as its worker was lost, is reported twice.
        done = min(done, self.num_shards - self.finished_shards)
        finished = self.finished_shards + int(done)
        share = describe_share(done, self.num_shards - self.finished_shards, elapsed, self.finished_shards)
        last = ["writing the manifest"] if finished == self.num_shards else []
        return [*share, *last, *counted, f"{finished:,}/{self.num_shards:,} shards"]


@dataclasses.dataclass
class StepStatus:
    """Names a step that may take long before its work can be counted; a short one is not named.

    Attributes:
        step: what is done, such as "planning".
        clock: seconds.
        seconds: least time between two questions.
    """

    step: str
    clock: Callable[[], float] = time.monotonic
    seconds: float = REPORT_SECONDS

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def parts(self) -> list[str]:
        """Returns the step and how long it has taken; nothing for the first seconds."""
        elapsed = self.clock() - self._begun
        return [self.step, format_clock(elapsed)] if elapsed >= SHORT_SECONDS else []


@dataclasses.dataclass
class CountedStatus:
    """Says how much a step of this process has done.

    Attributes:
        total: how much there is to do; 0 if unknown.
        unit: what is counted, and the participle of what is done with it, such as "shards indexed".
        clock: seconds.
        seconds: least time between two questions.
    """

    total: int
    unit: str
    clock: Callable[[], float] = time.monotonic
    seconds: float = REPORT_SECONDS

    def __post_init__(self) -> None:
        self._begun = self.clock()
        self._done = 0

    def count(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the items, and counts each as done when the next is asked for."""
        for item in items:
            yield item
            self._done += 1

    def parts(self) -> list[str]:
        """Returns what describes the run now, the most important first."""
        of_total = f"/{self.total:,}" if self.total else ""
        share = describe_share(self._done, self.total, self.clock() - self._begun)
        return [*share, f"{self._done:,}{of_total} {self.unit}"]


@dataclasses.dataclass
class RecordsStatus:
    """Says how many records and shards a step over finished shards has done.

    Attributes:
        work: folder of the reports.
        num_shards: shards to do.
        done: participle of what is done with the records, such as "written".
    """

    work: WorkFolder
    num_shards: int
    done: str

    def __post_init__(self) -> None:
        self._begun = time.time()
        self.seconds = REPORT_SECONDS if storage.is_local(self.work.path) else REMOTE_SECONDS

    def parts(self) -> list[str]:
        """Returns what describes the run now, the most important first."""
        reports = read_reports(self.work)
        records, size, shards = (_sum(reports, name) for name in ("records", "bytes", "shards"))
        elapsed = max(time.time() - self._begun, 1e-3)
        return [
            *describe_share(shards, self.num_shards, elapsed),
            f"{records:,.0f} records {self.done}",
            f"{records / elapsed:,.0f}/s",
            f"{size / elapsed / 1e6:,.0f} MB/s",
            *self._describe_faults(reports),
            f"{int(shards):,}/{self.num_shards:,} shards",
        ]

    def _describe_faults(self, reports: Sequence[Mapping[str, Any]]) -> list[str]:
        return []


class VerifyStatus(RecordsStatus):
    """Says how far a verification is; its workers report faults as rejects."""

    def _describe_faults(self, reports: Sequence[Mapping[str, Any]]) -> list[str]:
        return [f"{_sum(reports, 'rejects'):,.0f} faults"]


def describe_share(done: float, total: float, elapsed: float, before: float = 0) -> list[str]:
    """Returns how much is done, and the time that is left, such as `56 %` and `0:08 left`; empty for no total.

    Args:
        done: what this run has done, in any unit.
        total: all that this run is to do, in the same unit.
        elapsed: seconds that this run took until now.
        before: what an earlier run did, in the same unit; it counts for the share and took no time.
    """
    if before + total <= 0:
        return []
    left = [f"{format_clock(elapsed * (total - done) / done)} left"] if 0 < done < total else []
    return [f"{min(100 * (before + done) / (before + total), 100):.0f} %", *left]


def read_reports(work: WorkFolder) -> list[dict[str, Any]]:
    """Returns the last report of each worker; an empty list while a report is being written."""
    with contextlib.suppress(OSError, ValueError):
        return [json.loads(data) for data in work.progress()]
    return []


def _sum(reports: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(report[name] for report in reports)


_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))

_DIGITS = 3

_LARGEST = 999.5
"""A size that rounds to 1,000 of a unit is 1 of the next."""


def format_size(size: float) -> str:
    """Returns a size with three digits and the largest unit of 1,000s that leaves it at least 1.

    Args:
        size: bytes, not negative.
    """
    if size < _LARGEST:
        return "1 byte" if round(size) == 1 else f"{size:.0f} bytes"
    unit, name = next((unit, name) for unit, name in _UNITS if size >= unit / 1e3 * _LARGEST)
    count = size / unit
    # Rounding may add a digit before the point, which then takes the place of one after the point.
    decimals = next(
        decimals for decimals in (2, 1, 0) if round(count, decimals) < 10 ** (_DIGITS - decimals) or not decimals
    )
    return f"{count:,.{decimals}f} {name}"


def describe_resumption(finished: int, num_shards: int) -> str:
    """Returns the line about a run that resumes an interrupted one."""
    return f"Resuming: {finished} of {num_shards} shards are finished. Going on with the rest."
