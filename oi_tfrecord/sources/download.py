"""Downloads the images that a metadata CSV lists to files, and lists what was had and what was not."""

import collections
import concurrent.futures
import contextlib
import csv
import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.engine.progress_line import ProgressLine
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.openimages.csv.files import InputFile, open_table
from oi_tfrecord.openimages.csv.filters import is_in, parse_image_ids
from oi_tfrecord.openimages.csv.metadata_rows import MetadataRow, stream_metadata
from oi_tfrecord.openimages.csv.sample_rows import count_images
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.settings.convert_config import ConvertConfig, parse_max_rejects
from oi_tfrecord.sources.download_cache import ImageCache, remove_stale, write_file
from oi_tfrecord.sources.download_progress import DownloadCounts, DownloadStatus
from oi_tfrecord.sources.http_client import Fetcher
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings
from oi_tfrecord.sources.url_folders import url_file
from oi_tfrecord.sources.url_image import ImageUrls, check_url_columns, load_image
from oi_tfrecord.sources.urls import fetch_settings
from oi_tfrecord.storage.files import read
from oi_tfrecord.storage.paths import is_local

LAYOUTS = ("image_id", "url")

FAILURE_COLUMNS = ("reason", "status", "detail")

SUCCESS_FILE = "success.csv"

FAILURES_FILE = "failures.csv"

_WINDOW = 8192

_TEMPORARY = ".oi_tfrecord-download"


@dataclasses.dataclass(frozen=True)
class DownloadJob:
    """A download.

    Attributes:
        files: the metadata CSVs.
        output_dir: local folder of the images.
        layout: `image_id` stores `<ImageID>.jpg`, `url` stores `<first 3>/<base name of OriginalURL>`.
        kind: which file of an image.
        cache: where images are looked for first and kept besides; None for nowhere.
        image_ids: sorted uint64 array of the images wanted; None for all.
        settings: of the client.
    """

    files: tuple[InputFile, ...]
    output_dir: pathlib.Path
    layout: str
    kind: UrlKind
    cache: ImageCache | None
    image_ids: np.ndarray | None
    settings: FetchSettings

    @property
    def temporary(self) -> pathlib.Path:
        """Folder of files that are being written."""
        return self.output_dir / _TEMPORARY

    def path(self, row: MetadataRow, urls: ImageUrls) -> pathlib.Path:
        """Returns where an image is stored.

        Raises:
            FetchRejected: if the layout is by URL and the URL names no file.
        """
        if self.layout == "image_id":
            return self.output_dir / f"{row.image_id}.jpg"
        name = url_file(urls.original)
        if not name:
            raise FetchRejected(Reject.DOWNLOAD_FAILED, f"the URL names no file: {urls.original}", 0)
        return self.output_dir / name

    def is_there(self, path: pathlib.Path, urls: ImageUrls) -> bool:
        """Returns whether an earlier run stored an image: files appear only whole and checked, so the size tells."""
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return False
        return str(size) == urls.size if self.kind is UrlKind.ORIGINAL and urls.size else size > 0

    def wants(self, row: MetadataRow) -> bool:
        """Returns whether a row is of an image that is wanted; one that cannot be read is, to be listed."""
        if self.image_ids is None or row.reject is not None:
            return True
        return bool(is_in(np.array([int(row.image_id, 16)], np.uint64), self.image_ids)[0])


def make_job(config: ConvertConfig, layout: str) -> DownloadJob:
    """Finds and checks the inputs of a download.

    Args:
        config: of which the fields about metadata, URLs and fetching are used.
        layout: one of LAYOUTS.

    Raises:
        ConfigError, InputError: naming what to mend.
    """
    for field in ("metadata", "output_dir", "image_urls"):
        if not getattr(config, field):
            raise ConfigError(field, f"is needed; give --{field}")
    if not config.split and any("{split}" in name for name in config.metadata):
        raise ConfigError("split", "is needed; give --split")
    if not is_local(config.output_dir):
        raise ConfigError("output_dir", f"{config.output_dir!r} is not a folder of this machine")
    files = tuple(open_table(Table.METADATA, config.metadata, config.data_dir or os.curdir, config.split))
    check_url_columns(files)
    return DownloadJob(
        files=files,
        output_dir=pathlib.Path(config.output_dir),
        layout=layout,
        kind=UrlKind(config.image_urls),
        cache=ImageCache(pathlib.Path(config.image_cache)) if config.image_cache else None,
        image_ids=parse_image_ids(read(config.image_ids), config.image_ids) if config.image_ids else None,
        settings=fetch_settings(config),
    )


def download(job: DownloadJob, max_rejects: str, out: TextIO, err: TextIO) -> int:
    """Downloads all images of a job; those that an earlier run stored are kept as they are.

    Args:
        job: the download.
        max_rejects: bound on the failures, a count or a percentage.
        out: where the summary goes.
        err: where progress and errors go.

    Returns:
        Exit code: 0, or 2 if more failed than allowed. The lists of successes and failures are
        complete in both cases, and in the order of the metadata.
    """
    limit, is_percentage = parse_max_rejects(max_rejects)
    counts = DownloadCounts()
    for folder in (job.temporary, *([job.cache.temporary] if job.cache else [])):
        remove_stale(folder)
    job.temporary.mkdir(parents=True, exist_ok=True)
    total = count_images(job.files)[0]
    total = total if job.image_ids is None else min(total, len(job.image_ids))
    try:
        with ProgressLine(DownloadStatus(counts, total), err):
            _download(job, counts)
    finally:
        with contextlib.suppress(OSError):
            job.temporary.rmdir()
    _print_summary(job, counts, out)
    allowed = counts.rows * limit / 100 if is_percentage else limit
    if counts.failures > allowed:
        print(
            f"error: {counts.failures:,} of {counts.rows:,} failed, more than --max_rejects={max_rejects} allows; they "
            f"are listed in {job.output_dir / FAILURES_FILE}. Run the same command again to try them again, or give a "
            "higher --max_rejects.",
            file=err,
        )
        return 2
    return 0


def _download(job: DownloadJob, counts: DownloadCounts) -> None:
    with Fetcher(job.settings) as fetcher, _lists(job) as (successes, failures):
        for row, rejected in _results(job, fetcher, counts):
            if rejected is None:
                successes.writerow(row.fields)
                continue
            status = getattr(rejected, "status", 0) or ""
            about = {"reason": rejected.reason, "status": status, "detail": rejected.detail}
            failures.writerow(row.fields | about)


def _results(
    job: DownloadJob, fetcher: Fetcher, counts: DownloadCounts
) -> Iterator[tuple[MetadataRow, ImageRejected | None]]:
    """Yields each row, in file order, and why its image was not had."""
    pending: collections.deque[tuple[MetadataRow, concurrent.futures.Future[ImageRejected | None]]]
    pending = collections.deque()
    for file in job.files:
        columns = [name for name in file.names if name not in FAILURE_COLUMNS]
        for row in stream_metadata(file, columns):
            if not job.wants(row):
                continue
            counts.rows += 1
            task = functools.partial(_to_file, job, fetcher, counts, file, row)
            pending.append((row, fetcher.submit(task)))
            while pending and (len(pending) >= _WINDOW or pending[0][1].done()):
                done, future = pending.popleft()
                yield done, future.result()
    for row, future in pending:
        yield row, future.result()


async def _to_file(
    job: DownloadJob, fetcher: Fetcher, counts: DownloadCounts, file: InputFile, row: MetadataRow
) -> ImageRejected | None:
    try:
        if row.reject is not None:
            raise ImageRejected(row.reject.reason, f"{file.path}, line {row.line}: {row.reject.detail}")
        urls = ImageUrls.of_fields(row.fields)
        path = job.path(row, urls)
        if await fetcher.run(lambda: job.is_there(path, urls)):
            counts.kept += 1
            return None
        data = await load_image(fetcher, job.cache, job.kind, urls, lambda data: write_file(path, data, job.temporary))
    except ImageRejected as rejected:
        counts.failed[rejected.reason] += 1
        return rejected
    counts.downloaded += 1
    counts.size += len(data)
    return None


@contextlib.contextmanager
def _lists(job: DownloadJob) -> Iterator[tuple["csv.DictWriter[Any]", "csv.DictWriter[Any]"]]:
    """Yields the writers of the lists, which appear when the block ends without an error."""
    columns = [name for name in job.files[0].names if name not in FAILURE_COLUMNS]
    with (
        _list(job, SUCCESS_FILE, columns) as successes,
        _list(job, FAILURES_FILE, [*columns, *FAILURE_COLUMNS]) as failures,
    ):
        yield successes, failures


@contextlib.contextmanager
def _list(job: DownloadJob, name: str, columns: Sequence[str]) -> Iterator["csv.DictWriter[Any]"]:
    with (
        storage.create(str(job.output_dir / name), str(job.temporary)) as stream,
        io.TextIOWrapper(io.BufferedWriter(stream), "utf-8", "surrogateescape", newline="") as text,
    ):
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        yield writer


def _print_summary(job: DownloadJob, counts: DownloadCounts, out: TextIO) -> None:
    reasons = "".join(f", {reason} {count:,}" for reason, count in counts.failed.most_common())
    print(
        f"{counts.rows:,} images: {counts.downloaded:,} downloaded ({format_size(counts.size)}), "
        f"{counts.kept:,} were there, {counts.failures:,} failed{reasons}",
        file=out,
    )
    print(f"listed in {job.output_dir / SUCCESS_FILE} and {job.output_dir / FAILURES_FILE}", file=out)
