"""Measures what the disks of this machine give: images out of no cache, records until they are written."""

import concurrent.futures
import contextlib
import ctypes
import functools
import math
import mmap
import os
import random
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from oi_tfrecord import storage
from oi_tfrecord.conversion.dry_run.predict import StorageRate

_READ_SECONDS = 2.0

_WRITE_SECONDS = 0.5

_WRITTEN_PIECE = 8 << 20

_MOST_WRITTEN = 16
"""Pieces that are written at most: enough for the rate of a disk, few enough to be no burden to it."""

_VM = "/proc/sys/vm"


class Extent(NamedTuple):
    """Bytes of a local file."""

    path: str
    offset: int
    length: int


def spread_extents(files: Sequence[tuple[str, int]], count: int, length: int) -> list[Extent]:
    """Returns places spread over files at random, the same each time, as images are read from archives.

    Args:
        files: paths and bytes of the files.
        count: number of places.
        length: bytes of each; of a smaller file all.
    """
    chosen = random.Random(count)
    sizes = [size for _, size in files]
    picked = chosen.choices(files, sizes, k=count) if sum(sizes) else []
    return [Extent(path, chosen.randrange(max(size - length, 0) + 1), min(length, size)) for path, size in picked]


def find_cached(extents: Sequence[Extent]) -> list[bool]:
    """Returns whether memory holds the middle of each extent; what cannot be told is taken for not held."""
    return [_is_cached(extent) for extent in extents]


def _is_cached(extent: Extent) -> bool:
    # A file may be gone, and not every system can say.
    with contextlib.suppress(OSError, ValueError, OverflowError, AttributeError), _opened(extent.path) as descriptor:
        info = os.fstat(descriptor)
        if os.geteuid() not in (0, info.st_uid) and not os.access(extent.path, os.W_OK):
            # Of files of others, Linux says that all of them is in memory (`can_do_mincore` in mm/mincore.c).
            return False
        start = (extent.offset + extent.length // 2) // mmap.PAGESIZE * mmap.PAGESIZE
        length = min(mmap.PAGESIZE, info.st_size - start)
        state = ctypes.c_ubyte()
        # Private and writable, as ctypes gives the address of no other; nothing is written.
        with mmap.mmap(descriptor, length, flags=mmap.MAP_PRIVATE, offset=start) as mapped:
            byte = ctypes.c_char.from_buffer(mapped)
            address = ctypes.c_void_p(ctypes.addressof(byte))
            del byte
            failed = ctypes.CDLL(None).mincore(address, ctypes.c_size_t(length), ctypes.byref(state))
        return not failed and bool(state.value & 1)
    return False


def drop_cached(extents: Sequence[Extent]) -> bool:
    """Has memory forget extents; returns whether this machine can."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for extent in extents:
        with contextlib.suppress(OSError), _opened(extent.path) as descriptor:
            # Only what is on the disk can be forgotten.
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, extent.offset, extent.length, os.POSIX_FADV_DONTNEED)
    return True


@contextlib.contextmanager
def _opened(path: str):  # type: ignore[no-untyped-def]
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def measure_read(extents: Sequence[Extent], threads: int) -> float:
    """Reads extents and returns the bytes per second; infinity if there is nothing to read.

    Args:
        extents: each is read once, or as many as can be within two seconds.
        threads: extents that are read at once.
    """
    began = time.perf_counter()

    def read(extent: Extent) -> int:
        if time.perf_counter() > began + _READ_SECONDS:
            return 0
        with contextlib.suppress(OSError):
            return len(storage.read_range(extent.path, extent.offset, extent.length))
        return 0

    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        size = sum(executor.map(read, extents))
    return size / (time.perf_counter() - began) if size else math.inf


def measure_write(folder: str) -> float:
    """Writes a file, deletes it, and returns the bytes per second until they were on the disk.

    Args:
        folder: a local folder that is there.
    """
    path = storage.join(folder, "rate")
    # Some disks compress, and some notice equal blocks.
    piece = random.Random(0).randbytes(_WRITTEN_PIECE)
    size, began = 0, time.perf_counter()
    try:
        with open(path, "wb", buffering=0) as stream:
            while size < _MOST_WRITTEN * len(piece) and (not size or time.perf_counter() < began + _WRITE_SECONDS):
                size += stream.write(piece)
                os.fsync(stream.fileno())
        return size / (time.perf_counter() - began)
    finally:
        storage.delete(path)


def find_buffered_bytes(meminfo: str, settings: Mapping[str, int]) -> float:
    """Returns how many bytes may be written before who writes has to wait for the disk.

    Half way between the limit at which the disk is written to and the one that is kept
    (`dirty_freerun_ceiling` in mm/page-writeback.c of Linux).

    Args:
        meminfo: text of /proc/meminfo.
        settings: dirty_ratio and dirty_background_ratio, percentages of the memory that can be had, and dirty_bytes
            and dirty_background_bytes, which count instead if they are not 0 (Documentation/admin-guide/sysctl/vm.rst).
    """
    values = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    available = int(values["MemAvailable"].split()[0]) * 1024
    limits = [
        settings[f"{name}_bytes"] or settings[f"{name}_ratio"] / 100 * available
        for name in ("dirty", "dirty_background")
    ]
    return sum(limits) / 2


def _buffered_bytes() -> float:
    names = ("dirty_ratio", "dirty_background_ratio", "dirty_bytes", "dirty_background_bytes")
    # Where nothing is told, nothing is promised.
    with contextlib.suppress(OSError, ValueError, KeyError):
        settings = {name: int(storage.read(f"{_VM}/{name}")) for name in names}
        return find_buffered_bytes(storage.read("/proc/meminfo").decode(), settings)
    return 0.0


def measure_storage(extents: Sequence[Extent], cached: Sequence[bool], folder: str, threads: int) -> StorageRate:
    """Measures the storage of images and records, as far as it is on this machine.

    Args:
        extents: of images, as they are read; empty if they are elsewhere. They are in memory afterwards.
        cached: which of them were before.
        folder: of the records; it is there.
        threads: extents that are read at once.
    """
    is_local = storage.is_local(folder)
    read = math.inf
    if extents and drop_cached(extents):
        read = measure_read(extents, threads)
    return StorageRate(
        read=read,
        written=measure_write(folder) if is_local else math.inf,
        cached=sum(cached) / len(cached) if cached else 0.0,
        buffered_bytes=_buffered_bytes() if is_local else 0.0,
        is_shared=is_local and _device(folder) in {_device(extent.path) for extent in extents},
    )


@functools.cache
def _device(path: str) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return -1
