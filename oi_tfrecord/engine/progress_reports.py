"""Progress reports: counts that a worker writes to the work folder, from which the progress line is made."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.storage.retry import count_retries

REPORT_SECONDS = 1.0

SCAN, READ, WRITE = "scan", "read", "write"
"""The stages: finding where quoted rows end, reading the tables, writing the shards."""


class Reporter:
    """Writes a worker's counts to the work folder, at most once a second; threads may share a reporter.

    Beam's metrics are no way to do this, as local runners give none before the end. Work that a cluster does twice
    counts twice. Remote work folders get no reports: their progress is the number of finished shards.
    """

    def __init__(self, work: WorkFolder, stage: str, clock: Callable[[], float] = time.time):
        """Writes no report yet.

        Args:
            work: folder of the reports.
            stage: SCAN, READ or WRITE.
            clock: seconds, the same in all processes.
        """
        self._work = work if storage.is_local(work.path) else None
        self._name = f"{stage}-{os.getpid()}-{id(self):x}"
        self._stage = stage
        self._clock = clock
        self._begun = clock()
        self._retries = count_retries()
        self._finished = {"rows": 0, "bytes": 0, "records": 0, "rejects": 0, "shards": 0.0}
        self._current: dict[int, dict[str, float]] = {}
        self._lock = threading.Lock()
        self._next = self._begun + REPORT_SECONDS

    def add_bytes(self, size: int) -> None:
        """Adds bytes that were read."""
        self._add({"bytes": size})

    def add_rows(self, rows: int, rejects: int) -> None:
        """Adds rows, and the number of those that are rejected."""
        self._add({"rows": rows, "rejects": rejects})

    def set_shard(self, records: int, image_bytes: int, rejects: int, share: float) -> None:
        """Sets the counts of this thread's shard under way; `share` of it, 0 to 1, is done."""
        counts = {"records": records, "bytes": image_bytes, "rejects": rejects, "shards": share}
        self._current[threading.get_ident()] = counts
        self._flush_if_due()

    def end_shard(self, records: int, image_bytes: int, rejects: int) -> None:
        """Adds this thread's shard, which is finished."""
        with self._lock:
            self._current.pop(threading.get_ident(), None)
        self._add({"records": records, "bytes": image_bytes, "rejects": rejects, "shards": 1})

    def flush(self) -> None:
        """Writes the counts now."""
        self._next = self._clock() + REPORT_SECONDS
        if self._work is None:
            return
        with self._lock:
            current = list(self._current.values())
            counts = {
                name: count + sum(shard.get(name, 0) for shard in current) for name, count in self._finished.items()
            }
        retries = count_retries() - self._retries
        report = {"stage": self._stage, "begun": self._begun, "retries": retries, **counts}
        with contextlib.suppress(OSError):
            self._work.write_progress(self._name, json.dumps(report).encode())

    def _add(self, counts: Mapping[str, int]) -> None:
        with self._lock:
            for name, count in counts.items():
                self._finished[name] += count
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        if self._clock() >= self._next:
            self.flush()
