"""Downloads the images that a metadata CSV lists to files, and writes lists of the successes and the failures."""

import asyncio
import collections
import concurrent.futures
import contextlib
import csv
import dataclasses
import errno
import functools
import io
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.openimages.csv.files import InputFile, open_table
from oi_tfrecord.openimages.csv.find_id_form import find_id_form
from oi_tfrecord.openimages.csv.id_lists import ImageIdList, parse_image_ids
from oi_tfrecord.openimages.csv.metadata_rows import MetadataRow, stream_metadata
from oi_tfrecord.openimages.csv.sample_rows import count_images
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.sources.download_cache import ImageCache, remove_stale, write_file
from oi_tfrecord.sources.download_counts import DownloadCounts, DownloadResult, DownloadStatus
from oi_tfrecord.sources.download_options import DownloadOptions
from oi_tfrecord.sources.files import PatternSource, open_pattern
from oi_tfrecord.sources.http_client import Fetcher
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, image_fault
from oi_tfrecord.sources.image_urls import ImageUrls, check_url_columns
from oi_tfrecord.sources.load_image import load_image
from oi_tfrecord.sources.url_folders import url_file
from oi_tfrecord.sources.urls import fetch_settings
from oi_tfrecord.storage.csv_text import as_text, replace_undecodable

FAILURE_COLUMNS = ("reason", "status", "detail")

SUCCESS_FILE = "success.csv"

FAILURES_FILE = "failures.csv"

_WINDOW = 8192
"""Images that are downloaded ahead of the first one that has not ended."""

_OF_NAME = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EILSEQ}
"""Errors of the name of a file, which are no fault of the disk: the other images can be stored."""

_TEMPORARY = ".oi_tfrecord-download"


@dataclasses.dataclass(frozen=True)
class DownloadJob:
    """A download whose inputs are found.

    Attributes:
        files: the metadata CSVs.
        output_dir: local folder of the images.
        layout: `image_id` stores `<ImageID>.jpg`, `url` stores `<first 3>/<base name of OriginalURL>`.
        kind: which file of an image.
        cache: where images are looked for first and kept, too; None for no cache.
        listed: the ImageIDs to download; None for all.
        images: files that are read in place of URLs; None to download the URLs.
        readers: files that are read at once.
        settings: settings of the client.
    """

    files: tuple[InputFile, ...]
    output_dir: pathlib.Path
    layout: str
    kind: UrlKind
    cache: ImageCache | None
    listed: ImageIdList | None
    settings: FetchSettings
    images: PatternSource | None = None
    readers: int = 1

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
        """Returns whether an earlier run stored an image: files appear only whole and checked, so size is enough."""
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return False
        is_known = self.images is None and self.kind is UrlKind.ORIGINAL and urls.size
        return str(size) == urls.size if is_known else size > 0

    def includes(self, row: MetadataRow) -> bool:
        """Returns whether a row is of an image to download; a row that cannot be read is included, to be listed."""
        if self.listed is None or row.reject is not None:
            return True
        return self.listed.holds(row.image_id.encode())


def find_inputs(options: DownloadOptions) -> DownloadJob:
    """Finds and checks the inputs of a download.

    Raises:
        InputError: naming the file to correct.
    """
    files = tuple(open_table(Table.METADATA, options.metadata, options.data_dir or os.curdir, options.split))
    if not options.images or options.layout == "url":
        check_url_columns(files)
    form = find_id_form(options.image_id_format, files)
    files = tuple(dataclasses.replace(file, id_form=form) for file in files)
    ids_file = options.image_ids
    listed = parse_image_ids(storage.read(ids_file), ids_file, options.split, form) if ids_file else None
    for name in (SUCCESS_FILE, FAILURES_FILE):
        path = storage.join(options.output_dir, name)
        storage.refuse_inputs("output_dir", path, [*(file.path for file in files), ids_file])
        storage.refuse_foreign("output_dir", path, f"{files[0].names[0]},".encode())
    return DownloadJob(
        files=files,
        output_dir=pathlib.Path(options.output_dir),
        layout=options.layout,
        kind=UrlKind(options.image_urls or UrlKind.ORIGINAL),
        cache=ImageCache(pathlib.Path(options.image_cache)) if options.image_cache else None,
        listed=listed,
        settings=fetch_settings(options),
        images=_open_images(options),
        readers=options.fetch_connections,
    )


def _open_images(options: DownloadOptions) -> PatternSource | None:
    if not options.images:
        return None
    return open_pattern(
        options.images, options.split, options.max_image_bytes, anonymous=options.anonymous, cache=options.image_cache
    )


def download(options: DownloadOptions, *, progress: Progress | None = None) -> DownloadResult:
    """Downloads the images that the metadata lists; those that an earlier run stored are kept as they are.

    Args:
        options: what is downloaded, and to where.
        progress: shows how far the download is; silent by default.

    Returns:
        The counts. The lists of successes and failures are complete, and in the order of the metadata.

    Raises:
        ConfigError, InputError: naming the field or file to correct.
    """
    storage.start_command(storage.given_options())
    job = find_inputs(options)
    _look_for_first(job)
    counts = DownloadCounts()
    with _temporary_folders(job), (progress or NoProgress()).watch(DownloadStatus(counts, _estimate_images(job))):
        _download(job, counts)
    return DownloadResult(
        rows=counts.rows,
        downloaded=counts.downloaded,
        kept=counts.kept,
        size=counts.size,
        failed=dict(counts.failed.most_common()),
        success_file=job.output_dir / SUCCESS_FILE,
        failures_file=job.output_dir / FAILURES_FILE,
        max_rejects=options.max_rejects,
    )


def _look_for_first(job: DownloadJob) -> None:
    """Looks for one image, so that a store that cannot be used is an error in seconds; reads are tried for minutes."""
    if job.images is None:
        return
    rows = (row for file in job.files for row in stream_metadata(file, ()))
    first = next((row for row in rows if row.reject is None and job.includes(row)), None)
    if first is not None:
        job.images.size(first.image_id)


@contextlib.contextmanager
def _temporary_folders(job: DownloadJob) -> Iterator[None]:
    """Removes what killed runs left, and the temporary folder of the download at the end."""
    for folder in (job.temporary, *([job.cache.temporary] if job.cache else [])):
        remove_stale(folder)
    job.temporary.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            job.temporary.rmdir()


def _estimate_images(job: DownloadJob) -> int:
    images, _ = count_images(job.files)
    return images if job.listed is None else min(images, len(job.listed.image_ids))


def _download(job: DownloadJob, counts: DownloadCounts) -> None:
    """Downloads all images, and writes the list that each belongs to."""
    with (
        _readers(job.readers) as readers,
        Fetcher(job.settings) as fetcher,
        _lists(job) as (successes, failures),
    ):
        for row, rejected in _results(job, fetcher, readers, counts):
            if rejected is None:
                successes.writerow(_as_texts(row.fields))
                continue
            status = getattr(rejected, "status", 0) or ""
            failure = {"reason": rejected.reason, "status": status, "detail": rejected.detail}
            failures.writerow(_as_texts(row.fields | failure))


@contextlib.contextmanager
def _readers(count: int) -> Iterator[concurrent.futures.Executor]:
    """Yields threads that read files; after an error, files that wait for a thread are not read."""
    executor = concurrent.futures.ThreadPoolExecutor(count)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _results(
    job: DownloadJob, fetcher: Fetcher, readers: concurrent.futures.Executor, counts: DownloadCounts
) -> Iterator[tuple[MetadataRow, ImageRejected | None]]:
    """Yields each row, in file order, and why its image was not downloaded; None if it was."""
    pending: collections.deque[tuple[MetadataRow, concurrent.futures.Future[ImageRejected | None]]]
    pending = collections.deque()
    for file in job.files:
        columns = [name for name in file.names if name not in FAILURE_COLUMNS]
        for row in stream_metadata(file, columns):
            if not job.includes(row):
                continue
            counts.rows += 1
            task = functools.partial(_to_file, job, fetcher, readers, counts, file, row)
            pending.append((row, fetcher.submit(task)))
            while pending and (len(pending) >= _WINDOW or pending[0][1].done()):
                done, future = pending.popleft()
                yield done, future.result()
    for row, future in pending:
        yield row, future.result()


async def _to_file(
    job: DownloadJob,
    fetcher: Fetcher,
    readers: concurrent.futures.Executor,
    counts: DownloadCounts,
    file: InputFile,
    row: MetadataRow,
) -> ImageRejected | None:
    try:
        if row.reject is not None:
            raise ImageRejected(row.reject.reason, f"{file.path}, line {row.line}: {row.reject.detail}")
        urls = ImageUrls.of_fields(row.fields)
        path = job.path(row, urls)
        if await fetcher.run(lambda: job.is_there(path, urls)):
            counts.kept += 1
            return None
        store: Callable[[bytes], None] = lambda data: write_file(path, data, job.temporary)  # noqa: E731
        if job.images is None:
            data = await load_image(fetcher, job.cache, job.kind, urls, store)
        else:
            copy = functools.partial(_copy, job.images, row.image_id, store)
            data = await asyncio.get_running_loop().run_in_executor(readers, copy)
    except ImageRejected as rejected:
        counts.failed[rejected.reason] += 1
        return rejected
    except OSError as error:
        if error.errno not in _OF_NAME:
            raise
        counts.failed[Reject.DOWNLOAD_FAILED] += 1
        return FetchRejected(Reject.DOWNLOAD_FAILED, f"no file can have the name of the URL: {error.strerror}", 0)
    counts.downloaded += 1
    counts.size += len(data)
    return None


def _copy(images: PatternSource, image_id: str, store: Callable[[bytes], None]) -> bytes:
    """Reads an image from a file elsewhere, and stores it; raises ImageRejected if there is none."""
    data = images.read(image_id)
    if fault := image_fault(data):
        raise FetchRejected(Reject.DOWNLOAD_FAILED, f"{images.path(image_id)}: {fault}", 0)
    store(data)
    return data


def _as_texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cells of a row in UTF-8, none a formula of a spreadsheet; a checksum stays as it is."""
    texts = {name: replace_undecodable(cell) if isinstance(cell, str) else cell for name, cell in fields.items()}
    return {
        name: as_text(cell) if isinstance(cell, str) and name != "OriginalMD5" else cell for name, cell in texts.items()
    }


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
        io.TextIOWrapper(io.BufferedWriter(stream), "utf-8", newline="") as text,
    ):
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        yield writer
