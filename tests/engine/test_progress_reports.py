import pathlib

import pytest

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_reports import READ, WRITE, Reporter
from oi_tfrecord.engine.progress_text import read_reports
from tests.support.clock import Clock


@pytest.fixture
def work(tmp_path: pathlib.Path) -> WorkFolder:
    folder = WorkFolder.of(str(tmp_path), "train")
    folder.create({})
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_report_is_written_at_most_once_a_second_and_when_flushed(work: WorkFolder, clock: Clock) -> None:
    reporter = Reporter(work, READ, clock)
    reporter.add_bytes(1000)
    reporter.add_rows(10, 1)
    assert read_reports(work) == []
    clock.now += 1
    reporter.add_rows(5, 0)
    [report] = read_reports(work)
    assert (report["rows"], report["bytes"], report["rejects"]) == (15, 1000, 1)
    clock.now += 0.5
    reporter.add_rows(1, 0)
    reporter.add_bytes(1)
    assert read_reports(work) == [report]
    reporter.flush()
    [report] = read_reports(work)
    assert (report["rows"], report["bytes"]) == (16, 1001)


def test_a_shard_under_way_counts_once(work: WorkFolder, clock: Clock) -> None:
    reporter = Reporter(work, WRITE, clock)
    for share in (0.25, 0.5):
        clock.now += 1
        reporter.set_shard(records=int(100 * share), image_bytes=int(4000 * share), rejects=2, share=share)
        [report] = read_reports(work)
        assert (report["records"], report["bytes"], report["rejects"], report["shards"]) == (
            100 * share, 4000 * share, 2, share,
        )  # fmt: skip
    reporter.end_shard(records=100, image_bytes=4000, rejects=3)
    reporter.flush()
    [report] = read_reports(work)
    assert (report["records"], report["bytes"], report["rejects"], report["shards"]) == (100, 4000, 3, 1)
