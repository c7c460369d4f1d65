import json
import subprocess
import sys

import pytest

from tests.support import small_release

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of glibc")

FAULTS = """
import resource, sys
from oi_tfrecord.engine.shared_heap import share_freed_memory
if sys.argv[1] == "tuned":
    assert share_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(250_000)
before = faults()
for _ in range(200):
    bytearray(250_000)
print(faults() - before)
"""

HEAPS = """
import ctypes, json, sys, threading
from oi_tfrecord.engine.shared_heap import share_freed_memory
if sys.argv[1] == "late":
    import pyarrow
if sys.argv[1] != "default":
    assert share_freed_memory()
import numpy
import pyarrow
held = []
def hold_one():
    held.append(bytearray(100_000))
threads = [threading.Thread(target=hold_one) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
buffer = pyarrow.allocate_buffer(100_000)
heap = next(line for line in open("/proc/self/maps") if line.endswith("[heap]\\n"))
first, last = (int(place, 16) for place in heap.split()[0].split("-"))
places = [ctypes.addressof(ctypes.c_char.from_buffer(item)) for item in held]
print(json.dumps([sum(first <= place < last for place in places), first <= buffer.address < last]))
"""


def run(script: str, kind: str, **more: str) -> bytes:
    environment = small_release.environment() | more
    if not more:
        # A test that ran a command in this process has set it.
        environment.pop("ARROW_DEFAULT_MEMORY_POOL", None)
    return subprocess.run([sys.executable, "-c", script, kind], env=environment, capture_output=True, check=True).stdout


def test_buffers_cost_no_page_faults() -> None:
    faults = {kind: int(run(FAULTS, kind)) for kind in ("default", "tuned")}
    # 61 pages a buffer; each is a fault when the memory was returned.
    assert faults["tuned"] < 200 * 61 / 10
    assert faults["tuned"] <= faults["default"]


def test_threads_and_arrow_share_one_heap() -> None:
    assert json.loads(run(HEAPS, "tuned")) == [4, True]
    # Otherwise the test would show nothing.
    assert json.loads(run(HEAPS, "default")) == [0, False]


def test_arrow_shares_it_also_when_it_is_imported_already() -> None:
    assert json.loads(run(HEAPS, "late"))[1]


def test_a_pool_that_the_user_chose_stays() -> None:
    for kind in ("tuned", "late"):
        assert not json.loads(run(HEAPS, kind, ARROW_DEFAULT_MEMORY_POOL="mimalloc"))[1]


@pytest.mark.parametrize("module", ["oi_tfrecord.cli.main", "oi_tfrecord.engine.local_worker"])
def test_what_starts_a_process_imports_nothing_before_that_starts_threads(module: str) -> None:
    script = f"import sys, {module}; print(len({{'numpy', 'pyarrow', 'apache_beam'}} & set(sys.modules)))"
    assert run(script, "") == b"0\n"
