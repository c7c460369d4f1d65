"""A worker whose storage fails by a seeded schedule, and which may be killed at any request.

The schedule is a file (`Schedule.write`) that the environment variable SCHEDULE names. Requests are what the worker
asks of the operating system, so the program under test takes the way it takes on a disk or a share that fails. They
fail before they reach the disk, and are noted in a log, so that a test can count them.
"""

import builtins
import contextlib
import dataclasses
import errno
import functools
import io
import json
import os
import pathlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

VARIABLE = "SCHEDULE"
READS = frozenset({"open", "read", "list", "stat"})
WRITES = frozenset({"create", "write", "rename", "delete"})
ERROR, FULL, RENAME, KILL, SLOW = "error", "disk full", "rename failed", "killed", "slow"
BEFALLS = {
    ERROR: READS | WRITES,
    FULL: WRITES - {"delete"},
    RENAME: frozenset({"rename"}),
    KILL: READS | WRITES,
    SLOW: READS | WRITES,
}
"""The requests that each kind of fault befalls."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What goes wrong in the workers of a job.

    Attributes:
        seed: of all that is chosen; each worker has numbers of its own.
        folders: what lies below them fails.
        log: file with a line per fault.
        rates: share of its requests that a kind of fault befalls; 0.01 is one, chosen at random, of each hundred that a
            worker makes, so that a job of many requests always has some.
        at_most: how often a kind of fault happens at most, over all workers; without an entry there is no end of it.
        seconds: a slow request takes so long at most.
    """

    seed: int
    folders: tuple[str, ...]
    log: str
    rates: dict[str, float]
    at_most: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.02

    def write(self, path: pathlib.Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, path: str) -> "Schedule":
        return cls(**json.loads(pathlib.Path(path).read_text()))

    def happened(self) -> Counter[str]:
        """Returns how often each kind of fault happened in all jobs so far."""
        log = pathlib.Path(self.log)
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter(line.partition(":")[0] for line in lines)


class Faults:
    """The schedule in one worker; what it needs of the operating system it took before that is made to fail."""

    def __init__(self, schedule: Schedule, worker: str):
        self._schedule = schedule
        self._folders = tuple(os.path.join(folder, "") for folder in schedule.folders)
        self._chosen = random.Random(f"{schedule.seed} {worker}")
        self._due = {fault: self._deal(rate) for fault, rate in schedule.rates.items()}
        self._lock = threading.Lock()
        self._open, self._write, self._close = os.open, os.write, os.close

    def concern(self, path: Any) -> bool:
        # Reports of progress bear the number of the process; they fail unnoticed.
        return (
            isinstance(path, str | os.PathLike)
            and os.fspath(path).startswith(self._folders)
            and f"-{os.getpid()}-" not in os.path.basename(path)
        )

    def _deal(self, rate: float) -> Iterator[bool]:
        """Yields for one request after the other whether it fails."""
        size = round(1 / rate)
        while True:
            chosen = self._chosen.randrange(size)
            yield from (number == chosen for number in range(size))

    def request(self, kind: str, path: str) -> None:
        """Lets a request pass, or raises the fault that is due."""
        with self._lock:
            due = [fault for fault, dealt in self._due.items() if kind in BEFALLS[fault] and next(dealt)]
            delay = self._chosen.uniform(0, self._schedule.seconds)
        for fault in due:
            if not self._claim(fault):
                continue
            self._tell(f"{fault}: {kind} {path}\n")
            if fault == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == SLOW:
                time.sleep(delay)
                continue
            raise OSError(errno.ENOSPC if fault == FULL else errno.EIO, f"injected: {fault}", path)

    def _claim(self, fault: str) -> bool:
        """Returns whether one more fault may happen; workers share the number."""
        if fault not in self._schedule.at_most:
            return True
        for number in range(self._schedule.at_most[fault]):
            with contextlib.suppress(FileExistsError):
                self._close(self._open(f"{self._schedule.log}.{fault}.{number}", os.O_CREAT | os.O_EXCL))
                return True
        return False

    def _tell(self, line: str) -> None:
        log = self._open(self._schedule.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        self._write(log, line.encode())
        self._close(log)

    def install(self) -> None:
        """Puts the faults between this process and the operating system."""
        for name, kind in {"replace": "rename", "unlink": "delete", "listdir": "list", "stat": "stat"}.items():
            setattr(os, name, self._by_path(getattr(os, name), kind))
        for name, kind in {"read": "read", "pread": "read", "write": "write", "writev": "write"}.items():
            setattr(os, name, self._by_descriptor(getattr(os, name), kind))
        os.open = self._by_path(os.open, "open")
        builtins.open = self._opening(builtins.open)

    def _by_path(self, call: Callable[..., Any], kind: str) -> Callable[..., Any]:
        @functools.wraps(call)
        def faulty(path: Any, *others: Any, **named: Any) -> Any:
            if self.concern(path):
                self.request(kind, os.fspath(path))
            return call(path, *others, **named)

        return faulty

    def _by_descriptor(self, call: Callable[..., Any], kind: str) -> Callable[..., Any]:
        @functools.wraps(call)
        def faulty(descriptor: int, *others: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            if self.concern(path):
                self.request(kind, path)
            return call(descriptor, *others)

        return faulty

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def faulty(file: Any, mode: str = "r", buffering: int = -1, *others: Any, **named: Any) -> Any:
            if not self.concern(file):
                return call(file, mode, buffering, *others, **named)
            self.request("create" if "w" in mode else "open", os.fspath(file))
            assert mode in ("rb", "wb"), mode
            raw = _FaultyFile(file, mode, self.request)
            return raw if buffering == 0 else io.BufferedReader(raw) if mode == "rb" else io.BufferedWriter(raw)

        return faulty


class _FaultyFile(io.FileIO):
    def __init__(self, file: Any, mode: str, request: Callable[[str, str], None]):
        super().__init__(file, mode)
        self._request = functools.partial(request, path=os.fspath(file))

    def readinto(self, buffer: Any) -> int:
        self._request("read")
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self._request("read")
        return super().readall()

    def write(self, data: Any) -> int:
        self._request("write")
        return super().write(data)


if __name__ == "__main__":
    from oi_tfrecord.engine import process_worker as boot_worker

    Faults(Schedule.read(os.environ[VARIABLE]), str(os.getpid())).install()
    boot_worker.main()
