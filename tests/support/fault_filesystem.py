"""A Beam filesystem in memory (`faulty://`) that fails by a seeded schedule, and the schedules.

Every request may fail: with an I/O error, as the disk is full for a while, as a rename fails, or as the
worker that makes it is killed, after which none of its requests, also those of its clean-up, get through.
"""

import contextlib
import dataclasses
import errno
import io
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import CompressionTypes, FileMetadata

from oi_tfrecord.engine.progress_line import ProgressLine
from tests.support.memory_filesystem import MemoryFileSystem, _Upload

READS = frozenset({"open", "read", "list", "exists"})
WRITES = frozenset({"create", "write", "close", "rename", "delete"})
SLOW_SECONDS = 0.01


class WorkerKilled(BaseException):
    """Ends a worker; no `except Exception` catches it."""


@dataclasses.dataclass
class Faults:
    """A schedule.

    Attributes:
        seed: of everything below.
        error_rate: share of requests that fail.
        kill_rate: share of requests at which the worker is killed.
        rename_rate: share of renames that fail on top of it.
        full_from, full_to: numbers of the write requests between which the disk is full.
        slow_rate: share of requests that take up to SLOW_SECONDS longer.
    """

    seed: int
    error_rate: float = 0.01
    kill_rate: float = 0.0
    rename_rate: float = 0.0
    full_from: int = 0
    full_to: int = 0
    slow_rate: float = 0.0

    def __post_init__(self) -> None:
        self.chosen = random.Random(self.seed)
        # The thread of the progress line runs beside the others, so its faults are chosen apart from theirs.
        self.chosen_for_line = random.Random(self.seed)
        self.lock = threading.RLock()
        self.writes = 0
        self.injected: Counter[str] = Counter()
        self.failed: list[str] = []
        self.killed = False
        self.active = True

    @classmethod
    def of_seed(cls, seed: int) -> "Faults":
        """Returns the schedule of a seed: errors on 1 % of reads and writes, and each other kind on every few seeds.

        The periods have no factor in common with each other or with the number of ways that a conversion takes, so
        that every kind meets every other and every way.
        """
        chosen = random.Random(seed)
        full_from = chosen.randrange(1, 70) if seed % 5 == 0 else 0
        return cls(
            seed,
            kill_rate=0.004 if seed % 2 == 0 else 0.0,
            rename_rate=0.05 if seed % 7 < 3 else 0.0,
            full_from=full_from,
            full_to=full_from + 4 if full_from else 0,
            slow_rate=0.05 if seed % 11 == 0 else 0.0,
        )

    def request(self, kind: str, path: str) -> None:
        """Lets a request pass, or raises the fault that is due."""
        with self.lock:
            if not self.active:
                return
            if isinstance(threading.current_thread(), ProgressLine):
                # It goes with the process that is killed, but does not make the program end.
                if self.killed or self.chosen_for_line.random() < self.error_rate:
                    self._fail("error of the progress line", errno.EIO, path)
                return
            if self.killed:
                raise WorkerKilled(path)
            self.writes += kind in WRITES
            if kind in WRITES - {"delete"} and self.full_from < self.writes <= self.full_to:
                self._fail("disk full", errno.ENOSPC, path)
            if self.chosen.random() < self.kill_rate:
                self.killed = True
                self.injected["worker killed"] += 1
                raise WorkerKilled(path)
            if kind == "rename" and self.chosen.random() < self.rename_rate:
                self._fail("rename failed", errno.EIO, path)
            if self.chosen.random() < self.error_rate:
                self._fail("read error" if kind in READS else "write error", errno.EIO, path)
            is_slow = self.chosen.random() < self.slow_rate
            self.injected["slow"] += is_slow
            seconds = self.chosen.uniform(0, SLOW_SECONDS) if is_slow else 0
        time.sleep(seconds)

    def _fail(self, name: str, number: int, path: str) -> None:
        self.injected[name] += 1
        self.failed.append(path)
        raise OSError(number, f"injected: {name}", path)

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """Runs a block as a worker of its own, which may be killed."""
        self.killed = False
        try:
            yield
        finally:
            self.killed = False


class _FaultyUpload(_Upload):
    def write(self, data: Any) -> int:
        FaultyFileSystem.faults.request("write", self._path)
        return super().write(data)

    def close(self) -> None:
        if not self.closed:
            try:
                FaultyFileSystem.faults.request("close", self._path)
            finally:
                # What was written so far is there, also when the worker is gone.
                super().close()


class _FaultyRead(io.BytesIO):
    def __init__(self, path: str, data: bytes):
        super().__init__(data)
        self._path = path

    def read(self, size: int | None = -1) -> bytes:
        FaultyFileSystem.faults.request("read", self._path)
        return super().read(size)


class FaultyFileSystem(MemoryFileSystem):
    faults: ClassVar[Faults] = Faults(0, error_rate=0.0)

    @classmethod
    def scheme(cls) -> str:
        return "faulty"

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        self.faults.request("list", dir_or_prefix)
        return super()._list(dir_or_prefix)

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        self.faults.request("create", path)
        return _FaultyUpload(path)

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        self.faults.request("open", path)
        super().open(path, mime_type, compression_type)
        return _FaultyRead(path, self.files[path])

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        self.faults.request("rename", destination_file_names[0])
        super().rename(source_file_names, destination_file_names)

    def exists(self, path: str) -> bool:
        self.faults.request("exists", path)
        return super().exists(path)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self.faults.request("delete", path)
            super().delete([path])
