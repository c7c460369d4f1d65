import math
import os
import pathlib

import pytest

from oi_tfrecord.conversion.dry_run import time_storage as storage_rate
from oi_tfrecord.conversion.dry_run.time_storage import (
    Extent,
    drop_cached,
    find_buffered_bytes,
    find_cached,
    measure_read,
    measure_storage,
    measure_write,
    spread_extents,
)

MEMINFO = "MemTotal:       24684000 kB\nMemFree:          900000 kB\nMemAvailable:   20000000 kB\nHugePages_Total: 0\n"
RATIOS = {"dirty_ratio": 20, "dirty_background_ratio": 10, "dirty_bytes": 0, "dirty_background_bytes": 0}
PAGE = 4096


def is_in_memory(folder: pathlib.Path) -> bool:
    """Returns whether a folder is of a filesystem that has no disk."""
    mounts = [line.split()[1:3] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1] in ("tmpfs", "ramfs")


@pytest.fixture
def files(tmp_path: pathlib.Path) -> list[Extent]:
    if is_in_memory(tmp_path):
        pytest.skip("the temporary folder has no disk, so memory forgets nothing of it; set TMPDIR")
    found = []
    for number in range(5):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(os.urandom(50 * PAGE + number))
        found.append(Extent(str(path), 0, path.stat().st_size))
    return found


def test_places_are_spread_over_files_by_their_size_and_within_them() -> None:
    files = [("/a", 1_000_000), ("/b", 9_000_000), ("/small", 10)]
    extents = spread_extents(files, 2000, 5000)
    assert extents == spread_extents(files, 2000, 5000)
    sizes = dict(files)
    assert all(0 <= extent.offset <= sizes[extent.path] - extent.length for extent in extents)
    of_b = [extent.offset for extent in extents if extent.path == "/b"]
    # Five deviations.
    assert len(extents) == 2000
    assert len(of_b) == pytest.approx(1800, abs=70)
    assert sum(of_b) / len(of_b) == pytest.approx(4_500_000, rel=0.08)
    assert {extent.length for extent in extents if extent.path != "/small"} == {5000}
    assert spread_extents([("/empty", 0)], 3, 10) == spread_extents([], 3, 10) == []


def test_what_is_dropped_is_not_in_memory_until_it_is_read(files: list[Extent]) -> None:
    drop_cached(files)
    measure_read(files[1:3], threads=2)
    assert find_cached(files) == [False, True, True, False, False]


def test_to_ask_does_not_read(files: list[Extent]) -> None:
    drop_cached(files)
    for _ in range(3):
        assert find_cached(files) == [False] * 5


def test_of_files_of_others_nothing_is_known(files: list[Extent], monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_cached(files[:1]) == [True]
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(files[0].path).st_uid + 1)
    assert find_cached(files[:1]) == [True]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert find_cached(files[:1]) == [False]


def test_what_is_not_there_is_not_in_memory() -> None:
    gone = [Extent("/not/there", 0, 10)]
    assert find_cached(gone) == [False]
    assert drop_cached(gone)


def test_a_read_rate_is_of_the_bytes_that_were_read(files: list[Extent], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(storage_rate, "_READ_SECONDS", 100.0)
    monkeypatch.setattr(storage_rate.time, "perf_counter", lambda: float(next(clock)))
    # Begun at 0, asked before each of five files and the one that is gone, over at 7.
    extents = [*files, Extent("/not/there", 0, 1000)]
    assert measure_read(extents, threads=1) == pytest.approx(sum(extent.length for extent in files) / 7)


def test_reading_ends_in_time(files: list[Extent], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(storage_rate, "_READ_SECONDS", 2.0)
    monkeypatch.setattr(storage_rate.time, "perf_counter", lambda: float(next(clock)))
    # Files are read at 1 and 2, and not at 3, 4 and 5.
    assert measure_read(files, threads=1) == pytest.approx((files[0].length + files[1].length) / 6)


def test_nothing_to_read_has_no_rate() -> None:
    assert measure_read([], threads=3) == math.inf
    assert measure_read([Extent("/not/there", 0, 10)], threads=3) == math.inf


def test_a_write_rate_is_of_bytes_on_the_disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(storage_rate.os, "fsync", synced.append)
    clock = iter([0.0, 0.25, 1.0, 4.0])
    monkeypatch.setattr(storage_rate.time, "perf_counter", lambda: next(clock))
    # A second piece is begun before half a second has passed, and no third.
    assert measure_write(str(tmp_path)) == pytest.approx(2 * (8 << 20) / 4)
    assert len(synced) == 2
    assert not list(tmp_path.iterdir())


def test_memory_takes_records_up_to_half_way_between_the_limits() -> None:
    assert find_buffered_bytes(MEMINFO, RATIOS) == pytest.approx(0.15 * 20_000_000 * 1024)
    in_bytes = RATIOS | {"dirty_bytes": 3_000_000, "dirty_background_bytes": 1_000_000}
    assert find_buffered_bytes(MEMINFO, in_bytes) == pytest.approx(2_000_000)


def test_the_storage_of_this_machine_is_measured(files: list[Extent], tmp_path: pathlib.Path) -> None:
    rate = measure_storage(files, [True, False, False, False, False], str(tmp_path), threads=2)
    assert 0 < rate.read < math.inf
    assert 0 < rate.written < math.inf
    assert rate.cached == pytest.approx(0.2)
    assert rate.is_shared
    assert not rate.is_given


def test_what_is_elsewhere_is_not_measured(files: list[Extent], tmp_path: pathlib.Path) -> None:
    of_images = measure_storage(files, [False] * 5, "gs://bucket/records", threads=2)
    assert of_images.read < math.inf
    assert (of_images.written, of_images.buffered_bytes, of_images.is_shared) == (math.inf, 0.0, False)
    of_records = measure_storage([], [], str(tmp_path), threads=2)
    assert (of_records.read, of_records.cached, of_records.is_shared) == (math.inf, 0.0, False)
    assert of_records.written < math.inf


def test_a_machine_that_cannot_forget_measures_no_reads(
    files: list[Extent], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    rate = measure_storage(files, [False] * 5, str(tmp_path), threads=2)
    assert (rate.read, rate.cached) == (math.inf, 0.0)
