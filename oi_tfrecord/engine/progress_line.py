"""How far a conversion is: workers report to files, one reader prints a line."""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_reports import READ, REPORT_SECONDS, SCAN, WRITE
from oi_tfrecord.errors import OiTfrecordError

LOG_SECONDS = 30.0


class StatusLine(threading.Thread):
    """Prints a line until it is stopped: written over on a terminal, added every half minute elsewhere.

    In a log there is also one at the start and at the end, if `framed`.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        framed: bool,
        live_seconds: float = REPORT_SECONDS,
        log_seconds: float = LOG_SECONDS,
    ):
        """Initializes the instance.

        Args:
            out: where to print; standard error by default.
            framed: whether there is a line at the start, and one at the end of a log.
            live_seconds: between lines on a terminal.
            log_seconds: between lines elsewhere.
        """
        super().__init__(daemon=True)
        self._out = out or sys.stderr
        self._framed = framed
        self._stop_event = threading.Event()
        self._live = self._out.isatty()
        self._seconds = live_seconds if self._live else log_seconds

    def text(self) -> str:
        """Returns the line for now."""
        raise NotImplementedError

    def run(self) -> None:
        """Prints until `stop` is called."""
        if self._framed:
            self._print()
        while not self._stop_event.wait(self._seconds):
            self._print()

    def stop(self) -> None:
        """Ends the line: clears it on a terminal, adds the last one elsewhere."""
        self._stop_event.set()
        self.join()
        if self._live:
            self._out.write("\r\x1b[2K")
            self._out.flush()
        elif self._framed:
            self._print()

    def _print(self) -> None:
        text = self.text()
        # A line that wraps could not be written over.
        self._out.write(f"\r\x1b[2K{text[: _columns(self._out) - 1]}" if self._live else text + "\n")
        self._out.flush()


class ProgressLine(StatusLine):
    """Prints how far a conversion is until it is stopped."""

    def __init__(
        self,
        work: WorkFolder,
        *,
        total_bytes: int,
        num_shards: int,
        finished_shards: int,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.time,
        live_seconds: float = REPORT_SECONDS,
        log_seconds: float = LOG_SECONDS,
    ):
        """Initializes the instance.

        Args:
            work: folder of the reports.
            total_bytes: bytes of the CSV files; 0 if unknown, as they are compressed.
            num_shards: number of shards.
            finished_shards: how many an earlier run finished.
            out: where to print; standard error by default.
            clock: seconds, the clock of the reporters.
            live_seconds: between lines on a terminal.
            log_seconds: between lines elsewhere.
        """
        # To look at remote storage costs a request.
        live_seconds = live_seconds if storage.is_local(work.path) else log_seconds
        super().__init__(out, framed=True, live_seconds=live_seconds, log_seconds=log_seconds)
        self._work = work
        self._total_bytes = total_bytes
        self._num_shards = num_shards
        self._finished = finished_shards
        self._clock = clock
        self._begun = clock()

    def text(self) -> str:
        """Returns the line for now."""
        now = self._clock()
        elapsed = f"[{_clock_time(now - self._begun)}] "
        if not storage.is_local(self._work.path):
            try:
                done = self._work.count_results() - self._finished
            except (OSError, OiTfrecordError):
                # The line is no reason to end what goes on, or has ended well.
                return elapsed + "its storage does not tell how many shards are finished"
            return elapsed + self._describe_shards(done, now - self._begun)
        reports = []
        with contextlib.suppress(OSError, ValueError):
            reports = [json.loads(data) for data in self._work.progress()]
        by_stage = {stage: [report for report in reports if report["stage"] == stage] for stage in (SCAN, READ, WRITE)}
        if writing := by_stage[WRITE]:
            return elapsed + self._describe_writing(writing, _sum(by_stage[READ], "rejects"), now)
        return elapsed + self._describe_reading(by_stage[READ], by_stage[SCAN])

    def _describe_reading(self, reading: Sequence[Mapping[str, Any]], scans: Sequence[Mapping[str, Any]]) -> str:
        if scans and not reading:
            return f"reading tables: {format_size(_sum(scans, 'bytes'))} searched for line breaks within quotes"
        size = _sum(reading, "bytes")
        of_total = ""
        if self._total_bytes:
            # Headers are no rows, so the ranges never add up to the whole.
            share = min(100 * size / self._total_bytes, 100)
            of_total = f" of {format_size(self._total_bytes)} ({share:.0f} %)"
        rows, rejects = _sum(reading, "rows"), _sum(reading, "rejects")
        return f"reading tables: {rows:,.0f} rows, {format_size(size)}{of_total}, {rejects:,.0f} rejects"

    def _describe_writing(self, writing: Sequence[Mapping[str, Any]], row_rejects: float, now: float) -> str:
        elapsed = max(now - min(report["begun"] for report in writing), 1e-3)
        records, size = _sum(writing, "records"), _sum(writing, "bytes")
        rejects = row_rejects + _sum(writing, "rejects")
        return (
            f"{records:,.0f} records, {records / elapsed:,.0f} images/s, {size / elapsed / 1e6:,.1f} MB/s, "
            f"{rejects:,.0f} rejects, {self._describe_shards(_sum(writing, 'shards'), elapsed)}"
        )

    def _describe_shards(self, done: float, elapsed: float) -> str:
        """Describes the shards, of which this run has done `done` in `elapsed` seconds; part of one counts."""
        # A shard that is written again, as its worker was lost, is reported twice.
        done = min(done, self._num_shards - self._finished)
        share = 100 * (self._finished + done) / max(self._num_shards, 1)
        text = f"{self._finished + int(done):,} of {self._num_shards:,} shards ({share:.0f} %)"
        todo = self._num_shards - self._finished - done
        if done > 0 and todo > 0:
            text += f", about {_duration(elapsed * todo / done)} left"
        return text


def _sum(reports: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(report[name] for report in reports)


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))

_DIGITS = 3

_LARGEST = 999.5
"""What is rounded to 1,000 of a unit is 1 of the next."""


def format_size(size: float) -> str:
    """Returns a size with three digits and the largest unit of 1,000s that leaves it at least 1.

    Args:
        size: bytes, not negative.
    """
    if size < _LARGEST:
        return "1 byte" if round(size) == 1 else f"{size:.0f} bytes"
    unit, name = next((unit, name) for unit, name in _UNITS if size >= unit / 1e3 * _LARGEST)
    count = size / unit
    # Rounding may make a digit more before the point, of which one less is to follow it.
    decimals = next(
        decimals for decimals in (2, 1, 0) if round(count, decimals) < 10 ** (_DIGITS - decimals) or not decimals
    )
    return f"{count:,.{decimals}f} {name}"


class VerifyProgress(ProgressLine):
    """Prints how many records and shards are done; workers report as those of a conversion do."""

    def __init__(self, work: WorkFolder, num_shards: int, done: str = "verified", out: TextIO | None = None):
        """Initializes the instance.

        Args:
            work: folder of the reports.
            num_shards: shards to verify.
            done: what is done with the records.
            out: where to print; standard error by default.
        """
        super().__init__(work, total_bytes=0, num_shards=num_shards, finished_shards=0, out=out)
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
