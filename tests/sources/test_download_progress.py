from oi_tfrecord.sources.download_progress import DownloadCounts, DownloadStatus


def line(counts: DownloadCounts, total: int, seconds: float) -> str:
    times = iter((100.0, 100.0 + seconds))
    return DownloadStatus(counts, total, clock=lambda: next(times)).text()


def test_rates_and_rest() -> None:
    counts = DownloadCounts(downloaded=590, kept=1000, size=90_000_000)
    counts.failed["download_failed"] += 10
    # 600 asked for in a minute; 1,600 of 2,800 are done, so two minutes are left.
    text = line(counts, 2800, 60)
    assert text == "1,600 of about 2,800 images, 10 images/s, 1.5 MB/s, 10 failed, 2 min left"


def test_nothing_yet_or_more_than_estimated() -> None:
    assert line(DownloadCounts(), 10, 0) == "0 of about 10 images, 0 images/s, 0.0 MB/s, 0 failed"
    assert line(DownloadCounts(kept=12), 10, 1) == "12 of about 12 images, 0 images/s, 0.0 MB/s, 0 failed"
