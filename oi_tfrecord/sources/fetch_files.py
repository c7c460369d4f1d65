"""Downloads published files to a folder, several at once, and unpacks from archives what is kept of them."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from oi_tfrecord import storage
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.engine.progress_reports import REPORT_SECONDS
from oi_tfrecord.engine.progress_text import describe_share, format_size
from oi_tfrecord.errors import InputError
from oi_tfrecord.settings.published_files import PublishedFile
from oi_tfrecord.sources.transfer import TransferCounts, TransferRun, TransferSettings, ask_size, download_file
from oi_tfrecord.storage.streams import CHUNK_BYTES

AT_ONCE = 4
"""Files that are downloaded at once."""

PART_FOLDER = ".oi_tfrecord-fetch"
"""Folder within a local target for files that are not complete."""


@dataclasses.dataclass(frozen=True)
class FetchResult:
    """What a fetch did.

    Attributes:
        data_dir: folder of the files.
        files: files that were downloaded.
        kept: paths of files that were there.
        received: bytes that were received.
        retries: requests that failed and were sent again.
        notes: what the user should know.
        mask_archives: patterns of the archives of masks, for `mask_archives` of a conversion.
        seconds: time that it took.
    """

    data_dir: str
    files: tuple[PublishedFile, ...] = ()
    kept: tuple[str, ...] = ()
    received: int = 0
    retries: int = 0
    notes: tuple[str, ...] = ()
    mask_archives: tuple[str, ...] = ()
    seconds: float = 0.0


def user_cache() -> str:
    """Returns the folder of this program within the user's cache (XDG Base Directory Specification)."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(folder, "oi_tfrecord")


def fetch_files(
    files: Sequence[PublishedFile], data_dir: str, settings: TransferSettings, progress: Progress
) -> TransferCounts:
    """Downloads files to a folder; each appears there when it is complete and checked.

    Args:
        files: the files, none twice.
        data_dir: the folder, on any storage. On an object store, a file that is not complete is in the user's cache.
        settings: bounds on time and attempts.
        progress: takes how much there is to download, and how far the download is.

    Returns:
        What was done.

    Raises:
        InputError: if a server has no such file or another one.
        StorageError: if a transfer breaks too often.
    """
    run = TransferRun(settings)
    if not files:
        return run.counts
    parts = pathlib.Path(data_dir if storage.is_local(data_dir) else user_cache(), PART_FOLDER)
    parts.mkdir(parents=True, exist_ok=True)
    sizes = _ask_sizes(files, settings)
    progress.plan(describe_files(sizes, data_dir))
    known = [size for size in sizes.values() if size is not None]
    status = FetchStatus(run.counts, len(files), sum(known), is_whole=len(known) == len(files))
    with progress.watch(status):
        _fetch_all(files, data_dir, parts, run)
    with contextlib.suppress(OSError):
        parts.rmdir()
    if not storage.is_local(data_dir):
        storage.delete_folder(storage.join(data_dir, PART_FOLDER))
    return run.counts


def _ask_sizes(files: Sequence[PublishedFile], settings: TransferSettings) -> dict[str, int | None]:
    """Returns the size of each file by address; servers are asked for those that the table lacks."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as executor:
        sizes = executor.map(lambda file: file.size if file.size is not None else ask_size(file, settings), files)
        return dict(zip((file.url for file in files), sizes, strict=True))


def describe_files(sizes: Mapping[str, int | None], data_dir: str) -> str:
    """Returns a line that says how much there is to download.

    Args:
        sizes: address to bytes; None if the size is not known.
        data_dir: folder of the files.
    """
    known = [size for size in sizes.values() if size is not None]
    unknown = len(sizes) - len(known)
    more = f" and {unknown} of unknown size" if unknown else ""
    return f"fetch      {len(sizes)} files to {data_dir}: {format_size(sum(known))}{more}"


def _fetch_all(files: Sequence[PublishedFile], data_dir: str, parts: pathlib.Path, run: TransferRun) -> None:
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE, "fetch") as executor:
        futures = [executor.submit(_fetch, file, data_dir, parts, run) for file in files]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            # The threads end soon, and what came is kept.
            run.stopped.set()
            for future in futures:
                future.cancel()
            raise


def _fetch(file: PublishedFile, data_dir: str, parts: pathlib.Path, run: TransferRun) -> None:
    """Downloads one file, and moves it or its members to the folder."""
    # Two releases may have files of one name.
    part = parts / f"{hashlib.sha256(file.url.encode()).hexdigest()[:8]}-{file.name}"
    download_file(file, part, run)
    temporary = storage.join(data_dir, PART_FOLDER)
    storage.make_folder(temporary)
    if file.is_archive:
        unpack(part, file, data_dir, temporary)
        part.unlink()
    else:
        _move(part, storage.join(data_dir, file.files[0]), temporary)
    run.counts.add(files=1)


def _move(part: pathlib.Path, target: str, temporary: str) -> None:
    storage.make_folder(os.path.dirname(target))
    if storage.is_local(target):
        os.replace(part, target)
        return
    with open(part, "rb") as stream:
        _write(stream, target, temporary)
    part.unlink()


def unpack(archive: pathlib.Path, file: PublishedFile, data_dir: str, temporary: str) -> None:
    """Writes the members of a tar.gz that are kept; the archive is read once, as a stream.

    Args:
        archive: local path of the archive.
        file: which members are kept: those with the name of one of its files, without its outermost folder.
        data_dir: folder of the files.
        temporary: folder for a file while it is written, on the storage of `data_dir`.

    Raises:
        InputError: if the archive is damaged, or lacks one of the files.
    """
    # A file that is there is the user's, or that of an earlier run.
    missing = [name for name in file.files if not storage.exists(storage.join(data_dir, name))]
    remedy = "Run the same command again"
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                name = next((name for name in missing if _is_member(member.name, name)), None)
                stream = None if name is None else members.extractfile(member)
                if name is not None and stream is not None:
                    target = storage.join(data_dir, name)
                    storage.make_folder(os.path.dirname(target))
                    _write(stream, target, temporary)
                    missing.remove(name)
                if not missing:
                    break
    except (tarfile.TarError, EOFError, zlib.error) as error:
        archive.unlink()
        raise InputError(file.url, f"the archive cannot be read: {error}", remedy) from error
    if missing:
        raise InputError(file.url, f"the archive lacks {', '.join(missing)}", "Check --split and --downloads")


def _is_member(member: str, name: str) -> bool:
    """Returns whether a member is the file with this name, whatever the outermost folder of the archive is."""
    inner = name.partition("/")[2]
    return f"/{member}".endswith(f"/{inner}")


def _write(stream: IO[bytes], target: str, temporary: str) -> None:
    with storage.create(target, temporary) as written:
        shutil.copyfileobj(stream, written, CHUNK_BYTES)


@dataclasses.dataclass
class FetchStatus:
    """Describes how far a fetch is.

    Attributes:
        counts: the counts, which rise meanwhile.
        files: number of files.
        total: bytes of the files whose size is known.
        is_whole: whether the size of every file is known.
        clock: returns seconds.
        seconds: least time between two texts.
    """

    counts: TransferCounts
    files: int
    total: int
    is_whole: bool
    clock: Callable[[], float] = time.monotonic
    seconds: float = REPORT_SECONDS

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def parts(self) -> list[str]:
        """Returns what describes the fetch now, the most important first."""
        counts = self.counts
        elapsed = max(self.clock() - self._begun, 1e-3)
        kept = counts.size - counts.received
        share = describe_share(counts.received, self.total - kept, elapsed) if self.is_whole else []
        of_total = f"/{format_size(self.total)}" if self.is_whole else ""
        return [
            *share,
            f"{format_size(max(counts.size, 0))}{of_total}",
            f"{counts.received / elapsed / 1e6:,.0f} MB/s",
            f"{counts.files}/{self.files} files",
            *([f"{counts.retries} requests sent again"] if counts.retries else []),
        ]


def summary_lines(result: FetchResult) -> list[str]:
    """Returns what a fetch did as lines of text."""
    retries = f", {result.retries} requests sent again" if result.retries else ""
    return [
        f"fetched    {len(result.files)} files, {format_size(result.received)} in {result.seconds:.1f} s{retries}; "
        f"{len(result.kept)} were there",
        f"tables     {result.data_dir}",
        *(f"masks      --mask_archives={','.join(result.mask_archives)}" for _ in result.mask_archives[:1]),
    ]
