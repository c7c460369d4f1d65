"""Large images and decompression bombs within a limit on the memory of a process of their own."""

import io
import os
import pathlib
import subprocess
import sys

import pytest
from PIL import Image

from oi_tfrecord.reasons import Reject
from tests.images.test_prepare import gif_of, png, webp_of
from tests.support import small_release

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are those of Linux")

ROOT = pathlib.Path(__file__).parents[2]
MB = 1 << 20
# The limit is on the address space beyond what the imports and a first image of each kind take.
PROGRAM = """
import concurrent.futures, io, resource, sys
from PIL import Image
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected
data, limit, threads = sys.stdin.buffer.read(), int(sys.argv[1]), int(sys.argv[2])
options = ImageOptions(**eval(sys.argv[3]))
for image_format in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
    small = io.BytesIO()
    Image.new("RGB", (64, 48)).save(small, image_format)
    prepare(small.getvalue(), options)
def work(_):
    try:
        prepared = prepare(data, options)
        return f"{prepared.width}x{prepared.height}"
    except ImageRejected as rejected:
        return str(rejected.reason)
    except MemoryError:
        return "out_of_memory"
with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    list(pool.map(len, [""] * 4 * threads))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
    print(*pool.map(work, range(2 * threads)))
"""
WORKER_BYTES = 1 << 30
"""Memory of a worker process that configs/runners names."""

WORKER = """
import re, sys
from oi_tfrecord.cli.main import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
sys.exit(code)
"""
RESIZE = {"mode": "resize", "max_side": 1024}


def prepare_within(limit: int, data: bytes, options: dict[str, object], threads: int = 1) -> list[str]:
    """Returns what becomes of an image, per call: its size, a reason or `out_of_memory`."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(limit), str(threads), repr(options)],
        input=data,
        capture_output=True,
        cwd=ROOT,
        # Each thread's own arena would take 64 MB of the address space.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        check=True,
    )
    return done.stdout.decode().split()


def jpeg_of(side: int, **options: bool) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), 100).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", [{"mode": "copy"}, {"mode": "verify"}, RESIZE], ids=["copy", "verify", "resize"])
@pytest.mark.parametrize(
    "data",
    [
        png(60_000, 60_000, b""),
        gif_of((60_000, 60_000), (1, 1)),
        webp_of(b"VP8X", b"\0\0\0\0" + b"\xff\x3f\0" * 2),
    ],
    ids=["png", "gif", "webp"],
)
def test_a_bomb_takes_no_memory(data: bytes, mode: dict[str, object]) -> None:
    assert set(prepare_within(32 * MB, data, mode)) == {str(Reject.IMAGE_TOO_LARGE)}


def test_a_jpeg_bomb_takes_no_memory() -> None:
    data = bytearray(jpeg_of(8))
    frame = data.find(b"\xff\xc0\x00")
    data[frame + 5 : frame + 9] = (65_000).to_bytes(2, "big") * 2
    assert set(prepare_within(32 * MB, bytes(data), RESIZE)) == {str(Reject.IMAGE_TOO_LARGE)}


def test_a_huge_jpeg_is_scaled_down_and_checked_in_a_fraction_of_its_pixels() -> None:
    """Decoded whole, 81 million gray pixels take 77 MB, and do not fit."""
    data = jpeg_of(9_000)
    assert set(prepare_within(48 * MB, data, RESIZE)) == {"1024x1024"}
    assert set(prepare_within(48 * MB, data, {"mode": "verify"})) == {"9000x9000"}


def test_many_threads_hold_few_large_pictures() -> None:
    """A gray picture of 36 million pixels takes 34 MB decoded: 8 at once would take 272 MB."""
    buffer = io.BytesIO()
    Image.new("L", (6_000, 6_000), 100).save(buffer, "PNG", compress_level=1)
    assert set(prepare_within(160 * MB, buffer.getvalue(), RESIZE, threads=8)) == {"1024x1024"}


@pytest.mark.parametrize("image_mb", [3, 20])
def test_a_worker_process_needs_no_more_than_the_runner_configurations_say(
    image_mb: int, tmp_path: pathlib.Path
) -> None:
    """64 readers, as for an object store, of images far above the mean."""
    for name in ("flink", "spark"):
        assert "1 GB" in (ROOT / "configs" / "runners" / f"{name}.yaml").read_text()
    release = small_release.write_release(tmp_path / "data", images=90, faults=False)
    comment = b"\xff\xfe\xff\xff" + bytes(0xFFFD)
    for path in (release.folder / "images").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[:2] + comment * (image_mb << 4) + data[2:])
    flags = release.flags(tmp_path / "out", num_shards=1, read_threads=64, workers=1)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, "convert", *flags],
        cwd=ROOT,
        env=small_release.environment(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) << 10 < WORKER_BYTES
