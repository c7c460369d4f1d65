import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_line import Status
from oi_tfrecord.engine.progress_reports import READ, SCAN, WRITE, Reporter
from oi_tfrecord.engine.progress_text import (
    SHORT_SECONDS,
    ConversionStatus,
    CountedStatus,
    RecordsStatus,
    StepStatus,
    VerifyStatus,
    format_size,
)
from tests.support.clock import Clock
from tests.support.memory_filesystem import MemoryFileSystem


@pytest.fixture
def work(tmp_path: pathlib.Path) -> WorkFolder:
    folder = WorkFolder.of(str(tmp_path), "train")
    folder.create({})
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remote() -> Iterator[WorkFolder]:
    MemoryFileSystem.files.clear()
    folder = WorkFolder.of("memory://bucket/out", "train")
    folder.create({})
    yield folder
    MemoryFileSystem.files.clear()


def status_of(
    work: WorkFolder, clock: Clock, total_bytes: int = 400_000_000, num_shards: int = 10, finished_shards: int = 0
) -> ConversionStatus:
    return ConversionStatus(work, total_bytes, num_shards, finished_shards, clock)


def shown(status: Status) -> str:
    return "  ".join(status.parts())


def test_reports_of_workers_add_up(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock)
    workers = [Reporter(work, READ, clock) for _ in range(2)]
    for worker in workers:
        worker.add_bytes(50_000_000)
        worker.add_rows(1_000_000, 7)
        worker.flush()
    clock.now += 65
    assert shown(status) == "25 %  reading tables  2,000,000 rows  100 MB/400 MB  14 rejects"


def test_a_search_for_quoted_line_breaks_is_shown(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock)
    assert shown(status) == "0 %  reading tables  0 rows  0 bytes/400 MB  0 rejects"
    scan = Reporter(work, SCAN, clock)
    scan.add_bytes(32_000_000)
    scan.flush()
    assert shown(status) == "searching tables for line breaks within quotes  32.0 MB"
    read = Reporter(work, READ, clock)
    read.add_bytes(4_000_000)
    read.add_rows(10, 0)
    read.flush()
    assert shown(status) == "1 %  reading tables  10 rows  4.00 MB/400 MB  0 rejects"


def test_reports_of_lost_workers_do_not_count_on_an_engine(work: WorkFolder, clock: Clock) -> None:
    status = dataclasses.replace(status_of(work, clock), runs_elsewhere=True)
    assert shown(status) == "0 %  0/10 shards"
    read = Reporter(work, READ, clock)
    read.add_bytes(100_000_000)
    read.flush()
    assert shown(status) == "25 %  reading tables  0 rows  100 MB/400 MB  0 rejects"
    lost = Reporter(work, WRITE, clock)
    lost.end_shard(records=100, image_bytes=1000, rejects=0)
    lost.set_shard(records=100, image_bytes=1000, rejects=0, share=0.9)
    lost.flush()
    clock.now += 10
    # Its shard is written again by another worker.
    work.write_result(0, b"{}")
    assert shown(status) == "10 %  1:30 left  1/10 shards"
    for shard in range(10):
        work.write_result(shard, b"{}")
    assert shown(status) == "100 %  writing the manifest  10/10 shards"


def test_what_compressed_tables_hold_is_not_known_before(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock, total_bytes=0)
    read = Reporter(work, READ, clock)
    read.add_bytes(4_000_000)
    read.add_rows(10, 0)
    read.flush()
    assert shown(status) == "reading tables  10 rows  4.00 MB  0 rejects"


def test_rates_and_time_left_count_from_the_first_writer(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock)
    read = Reporter(work, READ, clock)
    read.add_bytes(1000)
    read.add_rows(1000, 5)
    read.flush()
    # Reading took an hour; it must not slow the rates down.
    clock.now += 3600
    first = Reporter(work, WRITE, clock)
    clock.now += 50
    second = Reporter(work, WRITE, clock)
    clock.now += 50
    first.end_shard(records=4000, image_bytes=1_000_000_000, rejects=2)
    first.set_shard(records=500, image_bytes=100_000_000, rejects=0, share=0.25)
    second.set_shard(records=1500, image_bytes=400_000_000, rejects=1, share=0.75)
    for writer in (first, second):
        writer.flush()
    # In 100 s: 6,000 records, 1.5 GB, 2 of 10 shards.
    assert shown(status) == "20 %  6:40 left  6,000 images  60/s  15 MB/s  8 rejects  2/10 shards"


def test_shards_of_an_earlier_run_are_done_but_took_no_time(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock, finished_shards=6)
    writer = Reporter(work, WRITE, clock)
    clock.now += 10
    writer.end_shard(records=100, image_bytes=1_000_000, rejects=0)
    writer.flush()
    assert shown(status) == "70 %  0:30 left  100 images  10/s  0 MB/s  0 rejects  7/10 shards"


def test_work_that_is_done_again_after_a_loss_is_not_more_than_all(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock, finished_shards=6)
    reader = Reporter(work, READ, clock)
    reader.add_bytes(500_000_000)
    reader.add_rows(10, 0)
    reader.flush()
    assert shown(status).startswith("100 %  reading tables  10 rows  500 MB/400 MB")
    lost, other = (Reporter(work, WRITE, clock) for _ in range(2))
    clock.now += 10
    for writer in (lost, other):
        for _ in range(3):
            writer.end_shard(records=1, image_bytes=1, rejects=0)
        writer.flush()
    assert shown(status).endswith("  10/10 shards")


def test_no_time_is_left_when_all_is_done(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock, num_shards=1)
    writer = Reporter(work, WRITE, clock)
    writer.flush()
    assert shown(status) == "0 %  0 images  0/s  0 MB/s  0 rejects  0/1 shards"
    clock.now += 7200
    writer.end_shard(records=1, image_bytes=1, rejects=0)
    writer.flush()
    assert shown(status) == "100 %  writing the manifest  1 images  0/s  0 MB/s  0 rejects  1/1 shards"


def test_shards_that_are_done_twice_are_no_more_than_all(work: WorkFolder, clock: Clock) -> None:
    work.create({})
    status = status_of(work, clock, finished_shards=3)
    reporter = Reporter(work, WRITE, clock)
    for _ in range(9):
        reporter.end_shard(1, 1, 0)
    reporter.flush()
    assert shown(status).endswith("  10/10 shards")


def test_hours_left(work: WorkFolder, clock: Clock) -> None:
    status = status_of(work, clock, num_shards=10)
    writer = Reporter(work, WRITE, clock)
    clock.now += 1000
    writer.set_shard(records=1, image_bytes=1, rejects=0, share=1.0)
    writer.flush()
    assert shown(status).startswith("10 %  2:30:00 left")


def test_on_remote_storage_finished_shards_tell(remote: WorkFolder, clock: Clock) -> None:
    status = status_of(remote, clock, num_shards=10, finished_shards=1)
    Reporter(remote, WRITE, clock).flush()
    assert list(remote.progress()) == []
    remote.write_result(0, b"{}")
    clock.now += 100
    assert shown(status) == "10 %  1/10 shards"
    remote.write_result(4, b"{}")
    remote.write_result(7, b"{}")
    assert shown(status) == "30 %  5:50 left  3/10 shards"


def test_storage_that_fails_is_no_error_of_a_run(
    remote: WorkFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "gone", remote.path)

    monkeypatch.setattr(MemoryFileSystem, "match", fail)
    monkeypatch.setattr(MemoryFileSystem, "exists", fail)
    assert shown(status_of(remote, clock)) == "the number of finished shards cannot be read from the storage now"


def test_a_half_written_or_foreign_report_is_no_error(work: WorkFolder, clock: Clock) -> None:
    work.write_progress("x", b'{"stage": "read", "ro')
    assert shown(status_of(work, clock)).startswith("0 %  reading tables  0 rows")


@pytest.mark.parametrize(
    ("kind", "done", "faults"), [(VerifyStatus, "verified", "4 faults  "), (RecordsStatus, "written", "")]
)
def test_reports_on_records_add_up(kind: type[RecordsStatus], done: str, faults: str, work: WorkFolder) -> None:
    status = kind(work, 9, done)
    assert f"0 records {done}" in shown(status)
    for name, records, shards in (("one", 1000, 1.5), ("two", 234, 1)):
        report = {"records": records, "bytes": 5, "rejects": 2, "shards": shards}
        work.write_progress(name, json.dumps(report).encode())
    assert re.match(rf"28 %  \d+:\d\d left  1,234 records {done}  [\d,]+/s  0 MB/s  {faults}2/9 shards$", shown(status))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (999.5, "1.00 KB"),
        (1000, "1.00 KB"),
        (9_996, "10.0 KB"),
        (235_400, "235 KB"),
        (999_499, "999 KB"),
        (999_500, "1.00 MB"),
        (4_640_000, "4.64 MB"),
        (9_500_000, "9.50 MB"),
        (9_994_000, "9.99 MB"),
        (9_996_000, "10.0 MB"),
        (99_940_000, "99.9 MB"),
        (99_960_000, "100 MB"),
        (45_678_900, "45.7 MB"),
        (150_000_000, "150 MB"),
        (513e9, "513 GB"),
        (18.4e12, "18.4 TB"),
        (12_345e12, "12,345 TB"),
    ],
)
def test_a_size_has_three_digits_and_a_fitting_unit(size: float, text: str) -> None:
    assert format_size(size) == text


@given(st.floats(0, 1e15))
def test_a_size_is_rounded_to_three_digits(size: float) -> None:
    number, unit = format_size(size).split()
    scale = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "KB": 1e3}.get(unit, 1)
    assert float(number.replace(",", "")) * scale == pytest.approx(size, rel=0.006, abs=0.5)
    assert scale == 1 or re.fullmatch(r"\d\.\d\d|\d\d\.\d|\d\d\d|[\d,]{5,}", number)


def test_a_silent_engine_is_named_with_its_state(remote: WorkFolder, clock: Clock) -> None:
    status = ConversionStatus(remote, 0, 4, clock=clock, engine_state=lambda: "RUNNING")
    remote.write_result(0, b"{}")
    assert "nothing" not in shown(status)
    clock.now += 299
    assert "nothing" not in shown(status)
    clock.now += 61
    assert status.parts()[-2:] == ["nothing has finished for 6:00", "engine: RUNNING"]
    remote.write_result(1, b"{}")
    assert "nothing" not in shown(status)


def test_the_images_of_all_are_shown_where_they_were_estimated(work: WorkFolder, clock: Clock) -> None:
    status = ConversionStatus(work, 0, 4, clock=clock, expected_images=150)
    writer = Reporter(work, WRITE, clock)
    for records, expected in ((100, "  100/150 images  "), (60, "  160/160 images  ")):
        clock.now += 1
        writer.end_shard(records=records, image_bytes=1, rejects=0)
        writer.flush()
        assert expected in shown(status)


def test_only_a_step_that_takes_long_is_named(clock: Clock) -> None:
    status = StepStatus("planning", clock)
    clock.now += SHORT_SECONDS / 2
    assert status.parts() == []
    clock.now += 60
    assert status.parts() == ["planning", "1:01"]


def test_a_step_of_one_process_counts_what_is_done(clock: Clock) -> None:
    status = CountedStatus(4, "images scored", clock)
    items = status.count("abcd")
    assert [next(items), next(items)] == ["a", "b"]
    clock.now += 3
    # The second is not done before the third is asked for.
    assert shown(status) == "25 %  0:09 left  1/4 images scored"
    assert [*items] == ["c", "d"]
    assert shown(status) == "100 %  4/4 images scored"
    assert shown(CountedStatus(0, "images scored", clock)) == "0 images scored"
