import pathlib

import pytest

from oi_tfrecord.sources.download_counts import (
    DownloadCounts,
    DownloadResult,
    DownloadStatus,
    describe_failures,
    summary_lines,
)


def line(counts: DownloadCounts, total: int, seconds: float) -> str:
    times = iter((100.0, 100.0 + seconds))
    return "  ".join(DownloadStatus(counts, total, clock=lambda: next(times)).parts())


def test_rates_and_rest() -> None:
    counts = DownloadCounts(downloaded=590, kept=1000, size=90_000_000)
    counts.failed["download_failed"] += 10
    # 600 asked for in a minute; 1,600 of 2,800 are done, so two minutes are left.
    text = line(counts, 2800, 60)
    assert text == "57 %  2:00 left  1,600/2,800 images  10/s  2 MB/s  10 failed"


def test_nothing_yet_or_more_than_estimated() -> None:
    assert line(DownloadCounts(), 10, 0) == "0 %  0/10 images  0/s  0 MB/s  0 failed"
    assert line(DownloadCounts(kept=12), 10, 1) == "100 %  12/12 images  0/s  0 MB/s  0 failed"


def result(failed: dict[str, int], max_rejects: str) -> DownloadResult:
    folder = pathlib.Path("/out")
    return DownloadResult(
        2000, 1500, 400, 3_000_000, failed, folder / "success.csv", folder / "failures.csv", max_rejects
    )


def test_lines_of_a_result() -> None:
    one = result({"image_unavailable": 1_097, "download_failed": 3}, "1%")
    assert summary_lines(one) == [
        "2,000 images: 1,500 downloaded (3.00 MB), 400 were there, 1,100 failed, image_unavailable 1,097, "
        "download_failed 3",
        "listed in /out/success.csv and /out/failures.csv",
    ]
    assert describe_failures(one).startswith("1,100 of 2,000 failed, more than --max_rejects=1% allows; ")
    assert "/out/failures.csv" in describe_failures(one)


@pytest.mark.parametrize(
    ("failures", "max_rejects", "expected"), [(20, "1%", False), (21, "1%", True), (3, "3", False), (4, "3", True)]
)
def test_failures_are_bounded(failures: int, max_rejects: str, expected: bool) -> None:
    assert result({"download_failed": failures}, max_rejects).has_too_many_failures is expected
