"""Objects of s3://, gs:// and az://, and files of web servers, in one request each, by many threads at once.

A client made here serves all threads of a process (`open_object_store`); its errors are explained by `object_faults`.
"""

import concurrent.futures
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from oi_tfrecord.storage import object_requests
from oi_tfrecord.storage.governor import Governor
from oi_tfrecord.storage.object_faults import explain, is_past_end, is_refusal, is_silent, may_pass
from oi_tfrecord.storage.object_requests import Piece
from oi_tfrecord.storage.paths import FileInfo
from oi_tfrecord.storage.retry import RetryPolicy, count_retry, retry

READ_RETRY = RetryPolicy(attempts=9, base_delay=0.5, max_delay=30.0)
"""Outlasts a store that is slow for a minute or two."""

LOOK_RETRY = RetryPolicy(attempts=8, base_delay=0.5, max_delay=15.0)
"""For sizes and listings that fail now."""

SILENT_RETRY = RetryPolicy(attempts=2, base_delay=0.5)
"""For sizes and listings that no host answers, as they come before all else: a user waits for the error."""

PART_BYTES = 8 << 20
"""Size of the parts of a large upload; 10,000 parts, the most that S3 takes, are 80 GB."""

_PARTS_AT_ONCE = 4

_DELETED_AT_ONCE = 250

_DELETING_THREADS = 16

_NAME = re.compile(r"([a-z0-9]+://[^/]+)/(.+)", re.DOTALL)

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class ObjectStore:
    """The objects of a bucket or of a web server; its methods may be called from several threads.

    Every method raises StorageError if the store cannot be reached or refuses.

    Attributes:
        root: scheme and bucket, or scheme and host.
        reader: a store of `obstore` that reads and writes small objects; it sends no request again by itself.
        looker: the same with the short time limits of requests that a user waits for.
        writer: the same for large objects; it sends parts of an upload again by itself.
        takes_ranges: whether every server of this kind can be asked for a part of an object; some web servers cannot.
        governor: keeps the reads of this process to what the store gives.
    """

    root: str
    reader: Any
    looker: Any
    writer: Any
    takes_ranges: bool = True
    governor: Governor = dataclasses.field(default_factory=Governor)

    def read_range(self, path: str, offset: int, length: int | None) -> bytes:
        """Reads a part of an object in one request, which is sent again while it fails for a reason that may pass.

        Args:
            path: of the object, with its scheme.
            offset: first byte; there is nothing beyond the end.
            length: bytes at most, None for all.

        Returns:
            The bytes.

        Raises:
            FileNotFoundError: if there is no such object.
        """
        name = split_path(path)[1]
        try:
            return retry(lambda: self._govern(path, lambda: self._read(name, offset, length)), _may_pass, READ_RETRY)
        except Exception as error:
            if is_past_end(error):
                return b""
            raise explain(error, path) from error

    def read_start(self, path: str, length: int) -> Piece:
        """Returns the first bytes of an object and its size, by one request; raises as `read_range`."""
        name = split_path(path)[1]
        try:
            return ask(
                lambda: self._govern(path, lambda: object_requests.read_start(self.reader, name, length)), _may_pass
            )
        except Exception as error:
            if is_past_end(error):
                return Piece(b"", 0)
            raise explain(error, path) from error

    def look(self, path: str) -> FileInfo | None:
        """Returns what the store says of an object, None if there is none."""
        name = split_path(path)[1]
        # Each request has its own place in the pace: a store that gives one at a time would refuse the second of two.
        if found := self._ask(path, lambda: object_requests.look(self.looker, name, path)):
            return found
        try:
            return self._ask(path, lambda: object_requests.look_by_read(self.looker, name, path))
        except FileNotFoundError:
            return None

    def size(self, path: str) -> int | None:
        """Returns the bytes of an object, None if there is none."""
        found = self.look(path)
        return found.size if found else None

    def find(self, folder: str, stem: str, *, is_deep: bool) -> list[FileInfo]:
        """Returns the objects below a folder whose name begins with `stem`.

        Args:
            folder: name within the bucket, empty for the whole bucket.
            stem: first letters of the name within the folder; of many objects, only these are asked for.
            is_deep: whether to list objects in folders of this folder as well.
        """
        whole = is_deep or bool(stem)
        function = object_requests.list_from if whole else object_requests.list_level
        return self._ask(
            self.root + "/" + folder, lambda: [self._info(meta) for meta in function(self.looker, folder, stem)]
        )

    def folders(self, folder: str) -> list[str]:
        """Returns the names of the folders in a folder."""
        return self._ask(self.root + "/" + folder, lambda: object_requests.list_folders(self.looker, folder))

    def has_folder(self, folder: str) -> bool:
        """Returns whether there is an object whose name begins with a folder's."""
        return self._ask(self.root + "/" + folder, lambda: any(object_requests.list_from(self.looker, folder, "", 1)))

    def write(self, path: str, data: bytes) -> None:
        """Writes an object in one request."""
        import obstore

        name = split_path(path)[1]
        # The reader sends nothing again by itself, so that the governor sees what the store refuses.
        self._ask(path, lambda: obstore.put(self.reader, name, data, use_multipart=False))

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """Writes an object in parts; nothing appears, and the store drops the parts, if the iterator raises."""
        import obstore

        name = split_path(path)[1]
        try:
            obstore.put(self.writer, name, parts, chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        except Exception as error:
            raise explain(error, path) from error

    def delete(self, paths: Sequence[str]) -> None:
        """Deletes objects, as many with one request as the store allows; those that are not there are fine."""
        names = [split_path(path)[1] for path in paths]
        some = [names[start : start + _DELETED_AT_ONCE] for start in range(0, len(names), _DELETED_AT_ONCE)]
        # For a store that deletes one object with each request, `obstore` sends ten requests at once for each thread.
        with concurrent.futures.ThreadPoolExecutor(_DELETING_THREADS) as pool:
            list(pool.map(self._delete_some, some))

    def _delete_some(self, names: Sequence[str]) -> None:
        self._ask(f"{self.root}/{names[0]}", lambda: object_requests.delete(self.looker, names))

    def rename(self, source: str, target: str) -> None:
        """Copies an object under another name of this bucket, and deletes it under the first."""
        import obstore

        self._ask(source, lambda: obstore.rename(self.writer, split_path(source)[1], split_path(target)[1]))

    def _ask(self, path: str, request: Callable[[], Result]) -> Result:
        try:
            return ask(lambda: self._govern(path, request), _may_pass)
        except Exception as error:
            raise explain(error, path) from error

    def _read(self, name: str, offset: int, length: int | None) -> bytes:
        if length is not None and (offset or self.takes_ranges):
            return object_requests.read_range(self.reader, name, offset, length)
        return object_requests.read_from(self.reader, name, offset, length)

    def _govern(self, path: str, request: Callable[[], Result]) -> Result:
        return self.governor.read(request, is_refusal, functools.partial(self._ask_retry_after, path))

    def _ask_retry_after(self, path: str, refusal: BaseException) -> float:
        count_retry()
        return object_requests.ask_retry_after(self.looker, path, split_path(path)[1], refusal)

    def _info(self, meta: Any) -> FileInfo:
        return FileInfo(f"{self.root}/{meta['path']}", int(meta["size"]), meta["last_modified"].timestamp())


def split_path(path: str) -> tuple[str, str]:
    """Returns the root of an object's bucket or server, such as `s3://bucket`, and the name of the object.

    Raises:
        FileNotFoundError: if the path names no object.
    """
    parts = _NAME.fullmatch(path)
    if parts is None or "//" in parts[2]:
        raise FileNotFoundError(2, "names no object", path)
    return parts[1], parts[2]


def ask(request: Callable[[], Result], may_pass: Callable[[BaseException], bool]) -> Result:
    """Sends a request that a user waits for, so that it fails early if no host answers."""
    return retry(
        lambda: retry(request, is_silent, SILENT_RETRY), lambda e: may_pass(e) and not is_silent(e), LOOK_RETRY
    )


def _may_pass(error: BaseException) -> bool:
    """Returns whether a failed read may succeed later; the governor itself sends refused reads again."""
    return may_pass(error) and not is_refusal(error)
