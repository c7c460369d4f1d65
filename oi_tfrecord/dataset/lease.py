"""Locks on object stores: an object that its holder writes again every few seconds, and that expires if it does not.

A process takes the lock by writing an object that must not exist, and keeps it by replacing the object on the condition
that it is still its own. A crash leaves an object that no longer changes: who waits for the lock takes it over after
LEASE_SECONDS, on the condition that nobody else did. No clock of two machines is compared.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator

from oi_tfrecord import storage
from oi_tfrecord.errors import EngineError
from oi_tfrecord.storage.object_versions import (
    UnsupportedError,
    VersionedObject,
    create_object,
    read_object,
    replace_object,
)

BEAT_SECONDS = 5.0
"""Time between two writes of a lock that is held."""

LEASE_SECONDS = 40.0
"""Time without a write after which a lock is free; it outlasts a store that is slow for a moment."""

LOOK_SECONDS = 1.0
"""Time between two looks at a lock that another process holds."""


class HeldError(Exception):
    """Another process holds the lock and is alive; the text names its host and process."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: its machine.
        process: its process there.
        run: unique for each time that a lock is taken.
        beat: number of the write.
    """

    host: str
    process: int
    run: str
    beat: int = 0

    @classmethod
    def here(cls) -> "Holder":
        """Returns this process."""
        return cls(socket.gethostname(), os.getpid(), uuid.uuid4().hex)

    @classmethod
    def parse(cls, data: bytes) -> "Holder":
        """Returns the holder that a lock names; unknown if it names none."""
        with contextlib.suppress(ValueError, TypeError):
            return cls(**json.loads(data))
        return cls("an unknown host", 0, "")

    def encode(self) -> bytes:
        """Returns the bytes of the lock."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def is_dead_here(self) -> bool:
        """Returns whether the holder was a process of this machine that has ended."""
        if self.host != socket.gethostname() or self.process <= 0:
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@contextlib.contextmanager
def hold_or_refuse(path: str) -> Iterator[None]:
    """Holds a lock during the block.

    Args:
        path: path of the lock, on an object store.

    Raises:
        HeldError: if another process holds it.
        EngineError: if another process took the lock over, as this one did not write it for LEASE_SECONDS.
    """
    with _held(path, waits=False):
        yield


@contextlib.contextmanager
def hold_or_wait(path: str) -> Iterator[None]:
    """Waits until no other process holds a lock, and holds it during the block; raises as `hold_or_refuse`."""
    with _held(path, waits=True):
        yield


def _take(path: str, *, waits: bool) -> VersionedObject:
    """Takes a lock; returns it as it was written."""
    me = Holder.here()
    seen: VersionedObject | None = None
    since = time.monotonic()
    while True:
        if taken := create_object(path, me.encode()):
            return taken
        found = read_object(path)
        if found is None:
            continue
        if seen is None or found.e_tag != seen.e_tag:
            if seen is not None and not waits:
                holder = Holder.parse(found.data)
                raise HeldError(f"process {holder.process} on {holder.host}")
            seen, since = found, time.monotonic()
        if Holder.parse(found.data).is_dead_here() or time.monotonic() - since >= LEASE_SECONDS:
            if taken := replace_object(path, me.encode(), found):
                return taken
            continue
        time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def _held(path: str, *, waits: bool) -> Iterator[None]:
    try:
        taken = _take(path, waits=waits)
    except UnsupportedError:
        # Without conditional writes there is no lock, as on HDFS.
        yield
        return
    lease = _Lease(path, taken)
    lease.start()
    try:
        yield
    except KeyboardInterrupt:
        if lease.is_lost:
            raise _lost(path) from None
        raise
    finally:
        lease.end()
    if lease.is_lost:
        raise _lost(path)


def _lost(path: str) -> EngineError:
    problem = f"{path} was taken over by another process, as this one could not write it for {LEASE_SECONDS:.0f} s"
    return EngineError(problem, "Let the other process end, then run the same command again")


class _Lease(threading.Thread):
    """Writes a lock again until it ends.

    Attributes:
        is_lost: whether another process took the lock.
    """

    def __init__(self, path: str, taken: VersionedObject):
        super().__init__(daemon=True, name="lease")
        self.is_lost = False
        self._path = path
        self._held = taken
        self._interrupts = threading.current_thread() is threading.main_thread()
        self._has_ended = threading.Event()

    def run(self) -> None:
        while not self._has_ended.wait(BEAT_SECONDS):
            # A store that fails for a moment does not end the lease; the next write may pass.
            with contextlib.suppress(Exception):
                self._beat()
            if self.is_lost:
                if self._interrupts and not self._has_ended.is_set():
                    # A signal also interrupts a system call in which the main thread waits.
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    def _beat(self) -> None:
        holder = Holder.parse(self._held.data)
        written = dataclasses.replace(holder, beat=holder.beat + 1).encode()
        replaced = replace_object(self._path, written, self._held)
        if replaced is None:
            self.is_lost = True
        else:
            self._held = replaced

    def end(self) -> None:
        """Gives the lock back, if it is still this process's."""
        self._has_ended.set()
        self.join()
        with contextlib.suppress(Exception):
            found = read_object(self._path)
            if found is not None and found.e_tag == self._held.e_tag:
                storage.delete(self._path)
