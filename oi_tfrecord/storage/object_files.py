"""Files of s3://, gs:// and az://, and of web servers for reading, through the clients of `object_store`."""

import contextlib
import dataclasses
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from oi_tfrecord.storage.forked_store import open_forked_store
from oi_tfrecord.storage.object_faults import explain
from oi_tfrecord.storage.object_store import ObjectStore, split_path
from oi_tfrecord.storage.object_streams import Upload, open_object
from oi_tfrecord.storage.open_object_store import open_store
from oi_tfrecord.storage.paths import EMULATOR, FileInfo, join
from oi_tfrecord.storage.store_settings import StoreSettings, lock, settings_of

_VARIABLES = (
    EMULATOR, "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY",
)  # fmt: skip
"""Variables that a program may change before it opens another store of the same name."""

_stores: dict[tuple[int, str, StoreSettings, tuple[str | None, ...]], ObjectStore] = {}
"""By the number of the process, as a forked process cannot use the clients of its parent."""

_MAGIC = re.compile(r"[*?[]")


def match(pattern: str) -> list[FileInfo]:
    """Returns the objects that match a pattern, by name: `*` and `?` stop at slashes, `**` does not."""
    magic = _MAGIC.search(pattern)
    if magic is None:
        found = look(pattern)
        return [found] if found else []
    return sorted(_list(pattern[: magic.start()], [pattern[magic.start() :]]), key=lambda info: info.path)


def match_first(pattern: str, endings: Sequence[str]) -> list[FileInfo]:
    """Returns the objects that match a pattern with the first of `endings` that any matches with; see `match`."""
    # One request lists all names that begin with the pattern; a request per ending would be more.
    magic = _MAGIC.search(pattern)
    start = magic.start() if magic else len(pattern)
    listed = sorted(
        _list(pattern[:start], [pattern[start:] + ending for ending in endings]), key=lambda info: info.path
    )
    for ending in endings:
        expression = re.compile(re.escape(pattern[:start]) + _translate(pattern[start:] + ending), re.DOTALL)
        if found := [info for info in listed if expression.fullmatch(info.path)]:
            return found
    return []


def exists(path: str) -> bool:
    """Returns whether an object, or a folder of objects, is there."""
    root, name = split_path(path.rstrip("/"))
    return look(path) is not None or store_at(root).has_folder(name)


def look(path: str, *, anonymous: bool = False) -> FileInfo | None:
    """Returns what the store says of an object, None if there is none."""
    if path.endswith("/"):
        return None
    return store_of(path, anonymous).look(path)


def open_read(path: str) -> BinaryIO:
    """Opens an object for reading."""
    return open_object(store_of(path), path)


def read_range(path: str, offset: int, length: int | None, *, anonymous: bool = False) -> bytes:
    """Returns up to `length` bytes from `offset`, None for all, in one request."""
    return store_of(path, anonymous).read_range(path, offset, length)


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """Opens an object that appears when the block ends; nothing appears if the block raises."""
    upload = Upload(store_of(path), path)
    try:
        yield upload  # type: ignore[misc]
        upload.complete()
    except BaseException:
        with contextlib.suppress(Exception):
            upload.abandon()
        raise


def delete(path: str) -> None:
    """Deletes an object; one that is not there is fine."""
    store_of(path).delete([path])


def delete_all(folder: str, names: Sequence[str]) -> None:
    """Deletes objects of a folder; those that are not there are fine."""
    paths = [join(folder, name) for name in names]
    if paths:
        store_of(paths[0]).delete(paths)


def delete_folder(path: str) -> None:
    """Deletes all objects of a folder."""
    root, folder = split_path(path.rstrip("/"))
    store = store_at(root)
    if found := store.find(folder, "", is_deep=True):
        store.delete([info.path for info in found])


def rename(source: str, target: str) -> None:
    """Renames an object within its bucket."""
    store_of(source).rename(source, target)


def store_of(path: str, anonymous: bool = False) -> ObjectStore:
    """Returns the store of an object; raises FileNotFoundError if the path names no object."""
    return store_at(split_path(path)[0], anonymous)


def store_at(root: str, anonymous: bool = False) -> ObjectStore:
    """Returns the store of a bucket or server, made with the settings of this process."""
    settings = settings_of(root)
    if anonymous:
        settings = dataclasses.replace(settings, anonymous=True)
    key = os.getpid(), root, settings, tuple(map(os.environ.get, _VARIABLES))
    with lock:
        if key not in _stores:
            is_forked = any(process != key[0] for process, *_ in _stores)
            try:
                _stores[key] = (open_forked_store if is_forked else open_store)(root, settings)
            except Exception as error:
                raise explain(error, root) from error
        return _stores[key]


def _list(literal: str, rests: Sequence[str]) -> list[FileInfo]:
    """Returns the objects that match one of several patterns.

    Where a folder's name is a pattern, the folders are listed level by level: what lies beside them may be millions of
    images.

    Args:
        literal: what all patterns begin with, not a pattern itself.
        rests: the rest of each, equal up to an ending.
    """
    scheme, _, path = literal.partition("://")
    bucket, _, name = path.partition("/")
    folder, stem = posixpath.split(name)
    root = f"{scheme}://{bucket}"
    segment, slash, _ = rests[0].partition("/")
    if slash and "**" not in rests[0]:
        is_match = re.compile(re.escape(literal) + _translate(segment), re.DOTALL).fullmatch
        folders = [path for path in (f"{root}/{each}" for each in store_at(root).folders(folder)) if is_match(path)]
        return [info for path in folders for info in _list_below(path, [each[len(segment) :] for each in rests])]
    found = store_at(root).find(folder, stem, is_deep="**" in rests[0])
    expression = re.compile(re.escape(literal) + f"(?:{'|'.join(map(_translate, rests))})", re.DOTALL)
    return [info for info in found if expression.fullmatch(info.path)]


def _list_below(folder: str, rests: Sequence[str]) -> list[FileInfo]:
    magic = _MAGIC.search(rests[0])
    end = magic.start() if magic else len(rests[0])
    return _list(folder + rests[0][:end], [each[end:] for each in rests])


def _translate(pattern: str) -> str:
    """Returns the expression of a pattern, as Beam's filesystems read patterns."""
    parts = re.findall(r"\*\*|\*|\?|\[[^]]+\]|.", pattern, re.DOTALL)
    magic = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(magic.get(part, part if len(part) > 1 else re.escape(part)) for part in parts)
