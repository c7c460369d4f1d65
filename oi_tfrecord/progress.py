"""How far a conversion is: workers report to files, one reader prints a line."""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from oi_tfrecord import storage
from oi_tfrecord.work_folder import WorkFolder

REPORT_SECONDS = 1.0
LOG_SECONDS = 30.0


class Reporter:
    """Writes a worker's counts to the work folder, at most once a second.

    Metrics would be the runner's way, but local runners give none before the end, and retries
    inflate them. Remote work folders get no reports; there, finished shards tell.
    """

    def __init__(self, work: WorkFolder, stage: str):
        self._work = work if storage.is_local(work.path) else None
        self._name = f"{stage}-{os.getpid()}-{id(self):x}"
        self._counts = {"stage": stage, "rows": 0, "bytes": 0, "records": 0, "rejects": 0, "shards": 0}
        self._current = (0, 0, 0)
        self._next = time.monotonic() + REPORT_SECONDS

    def add(self, rows: int = 0, size: int = 0, records: int = 0, rejects: int = 0, shards: int = 0) -> None:
        """Adds to the counts."""
        for name, count in (
            ("rows", rows), ("bytes", size), ("records", records), ("rejects", rejects), ("shards", shards)
        ):  # fmt: skip
            self._counts[name] += count  # type: ignore[operator]
        if time.monotonic() >= self._next:
            self.flush()

    def shard(self, records: int, image_bytes: int, rejects: int) -> None:
        """Sets the counts of the shard under way."""
        self._current = (records, image_bytes, rejects)
        if time.monotonic() >= self._next:
            self.flush()

    def shard_done(self, records: int, image_bytes: int, rejects: int) -> None:
        """Adds a finished shard."""
        self._current = (0, 0, 0)
        self.add(records=records, size=image_bytes, rejects=rejects, shards=1)

    def flush(self) -> None:
        """Writes the counts now."""
        self._next = time.monotonic() + REPORT_SECONDS
        if self._work is None:
            return
        counts = dict(self._counts)
        for name, count in zip(("records", "bytes", "rejects"), self._current, strict=True):
            counts[name] += count  # type: ignore[operator]
        with contextlib.suppress(OSError):
            self._work.write_progress(self._name, json.dumps(counts).encode())


class ProgressLine(threading.Thread):
    """Prints how far a conversion is until it is stopped.

    On a terminal one line is written over; elsewhere a line is added every half minute, so that
    a log stays readable.
    """

    def __init__(
        self,
        work: WorkFolder,
        *,
        total_bytes: int,
        num_shards: int,
        finished_shards: int,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Args:
        work: folder of the reports.
        total_bytes: bytes of the CSV files.
        num_shards: number of shards.
        finished_shards: how many an earlier run finished.
        out: where to print; standard error by default.
        clock: seconds.
        """
        super().__init__(daemon=True)
        self._work = work
        self._total_bytes = total_bytes
        self._todo = max(num_shards - finished_shards, 1)
        self._num_shards = num_shards
        self._finished = finished_shards
        self._out = out or sys.stderr
        self._clock = clock
        self._begun = clock()
        self._writing_since: float | None = None
        self._stop_event = threading.Event()
        self._live = self._out.isatty()

    def run(self) -> None:
        while not self._stop_event.wait(REPORT_SECONDS if self._live else LOG_SECONDS):
            self._print()

    def _print(self) -> None:
        text = self.text()
        self._out.write(f"\r\x1b[2K{text}" if self._live else text + "\n")
        self._out.flush()

    def stop(self) -> None:
        """Ends the line."""
        self._stop_event.set()
        self.join()
        if self._live:
            self._out.write("\r\x1b[2K")
            self._out.flush()

    def text(self) -> str:
        """Returns the line for now."""
        reports = []
        with contextlib.suppress(OSError, ValueError):
            reports = [json.loads(data) for data in self._work.progress()]
        now = self._clock()
        writing = [report for report in reports if report["stage"] == "write"]
        if not writing:
            read = [report for report in reports if report["stage"] == "read"]
            done = sum(report["bytes"] for report in read)
            rows = sum(report["rows"] for report in read)
            share = 100 * done / max(self._total_bytes, 1)
            return f"reading tables: {rows:,} rows, {share:.0f} % of {self._total_bytes / 1e6:,.0f} MB"
        if self._writing_since is None:
            self._writing_since = now - REPORT_SECONDS
        elapsed = max(now - self._writing_since, 1e-3)
        records, size, rejects, shards = (
            sum(report[name] for report in writing) for name in ("records", "bytes", "rejects", "shards")
        )
        left = ""
        if shards:
            left = f", {_duration(elapsed * (self._todo - shards) / shards)} left"
        return (
            f"{records:,} records, {records / elapsed:,.0f} images/s, {size / elapsed / 1e6:,.0f} MB/s, "
            f"{rejects:,} rejects, shard {self._finished + shards:,} of {self._num_shards:,}{left}"
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
