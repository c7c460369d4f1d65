"""Single requests of `obstore`: each is sent once, and raises what `obstore` raises."""

import contextlib
import datetime
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from oi_tfrecord.storage.object_faults import may_pass
from oi_tfrecord.storage.paths import FileInfo
from oi_tfrecord.storage.retry import count_retry, parse_retry_after

_LISTED_AT_ONCE = 1000

_RETRY_AFTER_SECONDS = 10.0


class Piece(NamedTuple):
    """A part of an object, and the bytes of the whole object."""

    data: bytes
    size: int


def ask_retry_after(path: str) -> float:
    """Returns the seconds that a web server asks to wait, 0 if the server does not; `obstore` hides what it says."""
    if not path.startswith(("https://", "http://")):
        return 0.0
    count_retry()
    request = urllib.request.Request(path, headers={"Range": "bytes=0-0"})
    try:
        urllib.request.urlopen(request, timeout=_RETRY_AFTER_SECONDS).close()
    except urllib.error.HTTPError as error:
        asked = parse_retry_after(error.headers.get("Retry-After"), datetime.datetime.now(datetime.UTC))
        return asked or 0.0
    except (OSError, ValueError):
        return 0.0
    return 0.0


def read_part(client: Any, name: str, offset: int, length: int | None) -> bytes:
    """Returns up to `length` bytes of an object from `offset` on, None for all."""
    import obstore

    if offset and length is not None:
        return bytes(obstore.get_range(client, name, start=offset, length=length))
    # A server without ranges answers this request, too.
    answer = obstore.get(client, name, options={"range": {"offset": offset}} if offset else None)
    if length is None or answer.meta["size"] - offset <= length:
        return bytes(answer.bytes())
    return _take(answer, length)


def read_start(client: Any, name: str, length: int) -> Piece:
    """Returns the first bytes of an object, and its size."""
    import obstore

    answer = obstore.get(client, name, options={"range": (0, length)})
    return Piece(bytes(answer.bytes()), int(answer.meta["size"]))


def _take(answer: Any, length: int) -> bytes:
    pieces, missing = [], length
    for piece in answer.stream():
        pieces.append(bytes(piece[:missing]))
        missing -= len(pieces[-1])
        if not missing:
            break
    return b"".join(pieces)


def look(client: Any, name: str, path: str) -> FileInfo | None:
    """Returns what the answer to HEAD says; None if the store refuses, as the answer has no body that says why."""
    import obstore

    try:
        meta = obstore.head(client, name)
    except Exception as error:
        if may_pass(error):
            raise
        return None
    return FileInfo(path, int(meta["size"]), meta["last_modified"].timestamp())


def look_by_read(client: Any, name: str, path: str) -> FileInfo:
    """Returns what the answer to GET says: some servers refuse HEAD."""
    import obstore

    meta = obstore.get(client, name).meta
    return FileInfo(path, int(meta["size"]), meta["last_modified"].timestamp())


def list_from(client: Any, folder: str, stem: str, at_once: int = _LISTED_AT_ONCE) -> Iterator[Any]:
    """Yields the metadata of each object below a folder, at any depth, whose name begins with `stem`."""
    import obstore

    start = f"{folder}/{stem}" if folder else stem
    # The listing starts after this name, which sorts before all names with the stem.
    offset = start[:-1] if len(stem) > 1 else None
    for some in obstore.list(client, folder or None, offset=offset, chunk_size=at_once):
        for meta in some:
            if str(meta["path"]).startswith(start):
                yield meta
            elif str(meta["path"]) > start:
                return


def list_level(client: Any, folder: str, _: str) -> Iterator[Any]:
    """Yields the metadata of each object in a folder, without those in its folders."""
    import obstore

    yield from obstore.list_with_delimiter(client, folder or None)["objects"]


def list_folders(client: Any, folder: str) -> list[str]:
    """Returns the names of the folders in a folder."""
    import obstore

    return list(map(str, obstore.list_with_delimiter(client, folder or None)["common_prefixes"]))


def delete_names(client: Any, names: Sequence[str]) -> None:
    """Deletes objects; those that are not there are fine."""
    import obstore

    try:
        obstore.delete(client, names)
    except FileNotFoundError:
        # Some stores refuse a name that is not there, and do not delete the names after it.
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(client, name)
