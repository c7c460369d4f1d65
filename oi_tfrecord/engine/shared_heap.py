"""One heap for all threads and libraries of a process, so that memory that is freed by one serves the next."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

_LARGEST_BUFFER = 32 << 20

_KEPT_BYTES = 64 << 20

_ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"


def share_freed_memory() -> bool:
    """Makes all threads of a process, and Arrow, allocate from one heap that keeps some of the freed memory.

    By default glibc gives each thread a heap, and Arrow has an allocator of its own. Memory that is free in one of
    them cannot be used by another, so a process takes the sum of their peaks. And glibc returns a buffer of some
    hundred kilobytes to the kernel when it is freed, so that every page of the next buffer costs a page fault: a
    hundred thousand of them in 4,000 images. The memory that is kept is bounded.

    To be called before the first import of NumPy and of Arrow, which start threads: heaps that are there stay in use.
    Safe to call twice; called late, it affects new heaps only.

    Returns:
        Whether glibc was tuned; other C libraries are left as they are. Sources: mallopt(3), and Arrow's
        environment variables (https://arrow.apache.org/docs/cpp/env_vars.html); one that is set already stays.
    """
    backend = os.environ.setdefault(_ARROW_POOL, "system")
    if backend == "system" and (pyarrow := sys.modules.get("pyarrow")) is not None:
        pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_BUFFER), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in settings)
