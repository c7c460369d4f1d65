import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from oi_tfrecord.allocator import keep_freed_memory
if sys.argv[1] == "tuned":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(250_000)
before = faults()
for _ in range(200):
    bytearray(250_000)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of glibc")
def test_buffers_cost_no_page_faults() -> None:
    faults = {
        kind: int(subprocess.run([sys.executable, "-c", SCRIPT, kind], capture_output=True, check=True).stdout)
        for kind in ("default", "tuned")
    }
    # 61 pages a buffer; each is a fault when the memory was returned.
    assert faults["tuned"] < 200 * 61 / 10
    assert faults["tuned"] <= faults["default"]
