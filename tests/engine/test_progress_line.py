import csv
import io
import json
import os
import pathlib
import re
from collections.abc import Iterator

import pytest

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_line import ProgressLine
from oi_tfrecord.engine.progress_reports import READ, SCAN, WRITE, Reporter
from tests.support import small_release
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.processes import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


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


def line_of(
    work: WorkFolder, clock: Clock, total_bytes: int = 400_000_000, num_shards: int = 10, finished_shards: int = 0
) -> ProgressLine:
    return ProgressLine(
        work,
        total_bytes=total_bytes,
        num_shards=num_shards,
        finished_shards=finished_shards,
        out=Terminal(),
        clock=clock,
    )


def reports(work: WorkFolder) -> list[dict[str, object]]:
    return [json.loads(data) for data in work.progress()]


def test_a_report_is_written_at_most_once_a_second_and_when_flushed(work: WorkFolder, clock: Clock) -> None:
    reporter = Reporter(work, READ, clock)
    reporter.add_range(10, 1000, 1)
    assert reports(work) == []
    clock.now += 1
    reporter.add_range(5, 500, 0)
    [report] = reports(work)
    assert (report["rows"], report["bytes"], report["rejects"]) == (15, 1500, 1)
    clock.now += 0.5
    reporter.add_range(1, 1, 0)
    assert reports(work) == [report]
    reporter.flush()
    assert reports(work)[0]["rows"] == 16


def test_a_shard_under_way_counts_once(work: WorkFolder, clock: Clock) -> None:
    reporter = Reporter(work, WRITE, clock)
    for share in (0.25, 0.5):
        clock.now += 1
        reporter.set_shard(records=int(100 * share), image_bytes=int(4000 * share), rejects=2, share=share)
        [report] = reports(work)
        assert (report["records"], report["bytes"], report["rejects"], report["shards"]) == (
            100 * share, 4000 * share, 2, share,
        )  # fmt: skip
    reporter.end_shard(records=100, image_bytes=4000, rejects=3)
    reporter.flush()
    [report] = reports(work)
    assert (report["records"], report["bytes"], report["rejects"], report["shards"]) == (100, 4000, 3, 1)


def test_reports_of_workers_add_up(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock)
    workers = [Reporter(work, READ, clock) for _ in range(2)]
    for worker in workers:
        worker.add_range(1_000_000, 50_000_000, 7)
        worker.flush()
    clock.now += 65
    assert line.text() == "[1:05] reading tables: 2,000,000 rows, 100 MB of 400 MB (25 %), 14 rejects"


def test_a_search_for_quoted_line_breaks_is_told(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock)
    assert line.text() == "[0:00] reading tables: 0 rows, 0 bytes of 400 MB (0 %), 0 rejects"
    scan = Reporter(work, SCAN, clock)
    scan.add_range(0, 32_000_000, 0)
    scan.flush()
    assert line.text() == "[0:00] reading tables: 32.0 MB searched for line breaks within quotes"
    read = Reporter(work, READ, clock)
    read.add_range(10, 4_000_000, 0)
    read.flush()
    assert line.text() == "[0:00] reading tables: 10 rows, 4.00 MB of 400 MB (1 %), 0 rejects"


def test_what_compressed_tables_hold_is_not_known_before(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock, total_bytes=0)
    read = Reporter(work, READ, clock)
    read.add_range(10, 4_000_000, 0)
    read.flush()
    assert line.text() == "[0:00] reading tables: 10 rows, 4.00 MB, 0 rejects"


def test_rates_and_time_left_count_from_the_first_writer(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock)
    read = Reporter(work, READ, clock)
    read.add_range(1000, 1000, 5)
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
    assert line.text() == (
        "[1:01:40] 6,000 records, 60 images/s, 15.0 MB/s, 8 rejects, 1 of 10 shards (20 %), about 6 min 40 s left"
    ).replace("1 of 10", "2 of 10")


def test_shards_of_an_earlier_run_are_done_but_took_no_time(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock, finished_shards=6)
    writer = Reporter(work, WRITE, clock)
    clock.now += 10
    writer.end_shard(records=100, image_bytes=1_000_000, rejects=0)
    writer.flush()
    assert line.text().endswith("7 of 10 shards (70 %), about 30 s left")


def test_what_lost_workers_did_and_others_do_again_is_not_more_than_all(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock, finished_shards=6)
    reader = Reporter(work, READ, clock)
    reader.add_range(10, 500_000_000, 0)
    reader.flush()
    assert "500 MB of 400 MB (100 %)" in line.text()
    lost, other = (Reporter(work, WRITE, clock) for _ in range(2))
    clock.now += 10
    for writer in (lost, other):
        for _ in range(3):
            writer.end_shard(records=1, image_bytes=1, rejects=0)
        writer.flush()
    assert line.text().endswith("10 of 10 shards (100 %)")


def test_no_time_is_left_when_all_is_done(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock, num_shards=1)
    writer = Reporter(work, WRITE, clock)
    writer.flush()
    assert line.text().endswith("0 records, 0 images/s, 0.0 MB/s, 0 rejects, 0 of 1 shards (0 %)")
    clock.now += 7200
    writer.end_shard(records=1, image_bytes=1, rejects=0)
    writer.flush()
    assert line.text().endswith("1 of 1 shards (100 %)")


def test_shards_that_are_done_twice_are_no_more_than_all(work: WorkFolder, clock: Clock) -> None:
    work.create({})
    line = line_of(work, clock, finished_shards=3)
    reporter = Reporter(work, WRITE, clock)
    for _ in range(9):
        reporter.end_shard(1, 1, 0)
    reporter.flush()
    assert line.text().endswith("10 of 10 shards (100 %)")


def test_hours_left(work: WorkFolder, clock: Clock) -> None:
    line = line_of(work, clock, num_shards=10)
    writer = Reporter(work, WRITE, clock)
    clock.now += 1000
    writer.set_shard(records=1, image_bytes=1, rejects=0, share=1.0)
    writer.flush()
    assert line.text().endswith("about 2 h 30 min left")


def test_on_remote_storage_finished_shards_tell(remote: WorkFolder, clock: Clock) -> None:
    line = line_of(remote, clock, num_shards=10, finished_shards=1)
    Reporter(remote, WRITE, clock).flush()
    assert list(remote.progress()) == []
    remote.write_result(0, b"{}")
    clock.now += 100
    assert line.text() == "[1:40] 1 of 10 shards (10 %)"
    remote.write_result(4, b"{}")
    remote.write_result(7, b"{}")
    assert line.text() == "[1:40] 3 of 10 shards (30 %), about 5 min 50 s left"


def test_storage_that_fails_is_no_error_of_the_line(
    remote: WorkFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "gone", remote.path)

    monkeypatch.setattr(MemoryFileSystem, "match", fail)
    monkeypatch.setattr(MemoryFileSystem, "exists", fail)
    assert line_of(remote, clock).text() == "[0:00] its storage does not tell how many shards are finished"


def test_a_half_written_or_foreign_report_is_no_error(work: WorkFolder, clock: Clock) -> None:
    work.write_progress("x", b'{"stage": "read", "ro')
    assert line_of(work, clock).text().startswith("[0:00] reading tables: 0 rows")


def run_line(work: WorkFolder, out: io.StringIO) -> None:
    line = ProgressLine(
        work, total_bytes=100, num_shards=4, finished_shards=0, out=out, live_seconds=0.005, log_seconds=0.005
    )
    reporter = Reporter(work, WRITE)
    line.start()
    wait_until(lambda: out.getvalue().count("reading tables") >= 2, "two lines are printed")
    reporter.end_shard(3, 100, 0)
    reporter.flush()
    wait_until(lambda: "1 of 4 shards" in out.getvalue(), "the report is printed")
    for _ in range(3):
        reporter.end_shard(3, 100, 0)
    reporter.flush()
    line.stop()
    assert not line.is_alive()


def test_a_log_has_whole_lines_from_the_start_to_the_final_values(work: WorkFolder) -> None:
    out = io.StringIO()
    run_line(work, out)
    text = out.getvalue()
    assert "\r" not in text
    assert "\x1b" not in text
    assert text.endswith("\n")
    lines = text.splitlines()
    assert all(re.match(r"\[\d+:\d\d\] (reading tables: )?\d", line) for line in lines)
    assert "reading tables: 0 rows" in lines[0]
    assert "12 records" in lines[-1]
    assert lines[-1].endswith("4 of 4 shards (100 %)")


def test_a_terminal_has_one_line_that_is_gone_at_the_end(work: WorkFolder) -> None:
    out = Terminal()
    run_line(work, out)
    text = out.getvalue()
    assert "\n" not in text
    assert text.endswith("\r\x1b[2K")
    shown = text.split("\r\x1b[2K")
    assert shown[0] == shown[-1] == ""
    assert "reading tables" in shown[1]
    # A line that fills the width would wrap on some terminals, and could not be written over then.
    assert max(map(len, shown)) < 80


def test_even_a_short_conversion_tells_a_log_its_start_and_its_end(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=20)
    done = small_release.run_command(release.flags(tmp_path / "out", workers=2))
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stderr.splitlines()
    assert "reading tables: 0 rows" in first
    rejects = list(csv.reader((tmp_path / "out" / "rejects-train.csv").open(newline="")))[1:]
    assert len(rejects) == release.expected.rejects
    assert "16 records" in last
    assert f"{release.expected.rejects} rejects" in last
    assert last.endswith("5 of 5 shards (100 %)")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_is_found_and_left_clean(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=20)
    ours, theirs = os.openpty()
    pid = os.posix_spawn(
        small_release.command()[0],
        small_release.command(*release.flags(tmp_path / "out", workers=1)),
        small_release.environment() | {"PYTHONPATH": str(small_release.ROOT)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs, 2),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        told += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(ours)
    assert re.match(rb"\r\x1b\[2K\[\d+:\d\d\] reading tables", told)
    assert told.endswith(b"\r\x1b[2K")
    assert b"\n" not in told
