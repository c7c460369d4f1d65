"""Keeps the memory of image buffers with the process, instead of giving it back after each."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST_BUFFER = 32 << 20
_KEPT_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Tunes the C library's allocator for many buffers of some hundred kilobytes.

    By default glibc returns each such buffer to the kernel when it is freed, and every page of the
    next one costs a fault: a hundred thousand of them in 4,000 images. What is kept is bounded.

    Returns:
      Whether it was tuned; other C libraries are left as they are. Source: mallopt(3).
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_BUFFER), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in settings)
