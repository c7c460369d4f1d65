"""Requests to one store through `obstore`: each function sends one, or those of a listing, and sends none again.

The errors of `obstore` pass through; `object_faults` explains them.
"""

import contextlib
import datetime
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from oi_tfrecord.storage.object_faults import may_pass
from oi_tfrecord.storage.paths import FileInfo
from oi_tfrecord.storage.retry import parse_retry_after

_LISTED_AT_ONCE = 1000

_RETRY_AFTER_SECONDS = 10.0

_SIGNED_FOR = datetime.timedelta(minutes=5)

_ADDRESS = re.compile(r"uri: Some\(\s*(https?://\S+?),?\s*\)")


class Piece(NamedTuple):
    """A part of an object, and the bytes of the whole object."""

    data: bytes
    size: int


def read_range(client: Any, name: str, offset: int, length: int) -> bytes:
    """Returns up to `length` bytes from `offset`."""
    import obstore

    # One call for head and body: a thread waits for the interpreter lock after each.
    return bytes(obstore.get_range(client, name, start=offset, length=length))


def read_from(client: Any, name: str, offset: int, length: int | None) -> bytes:
    """Returns up to `length` bytes from `offset`, None for all; a server without ranges answers for offset 0."""
    import obstore

    answer = obstore.get(client, name, options={"range": {"offset": offset}} if offset else None)
    if length is None or answer.meta["size"] - offset <= length:
        return bytes(answer.bytes())
    return _take(answer, length)


def read_start(client: Any, name: str, length: int) -> Piece:
    """Returns the first `length` bytes of an object, and its size."""
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


def delete(client: Any, names: Sequence[str]) -> None:
    """Deletes objects; those that are not there are fine."""
    import obstore

    try:
        obstore.delete(client, names)
    except FileNotFoundError:
        # Some stores refuse a name that is not there, and do not delete the names after it.
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(client, name)


def ask_retry_after(client: Any, path: str, name: str, refusal: BaseException) -> float:
    """Asks a server that refused a request for how long it wants to be left alone.

    `obstore` hides the header Retry-After of an answer, so the first byte of the object is asked for once more, by a
    client that shows the header. A server that gives the byte takes requests again, and no wait is needed.

    Args:
        client: of the store.
        path: of the object.
        name: of the object in the store.
        refusal: error of the first request.

    Returns:
        Seconds, 0 if the server does not say.
    """
    try:
        request = urllib.request.Request(_address(client, path, name, refusal), headers={"Range": "bytes=0-0"})
        urllib.request.urlopen(request, timeout=_RETRY_AFTER_SECONDS).close()
    except urllib.error.HTTPError as error:
        asked = parse_retry_after(error.headers.get("Retry-After"), datetime.datetime.now(datetime.UTC))
        return asked or 0.0
    except Exception:
        # The request is only for the header: the next one of `obstore` raises what is wrong.
        return 0.0
    return 0.0


def _address(client: Any, path: str, name: str, refusal: BaseException) -> str:
    """Returns a URL of an object, with a signature where its store needs one; raises if there is none."""
    import obstore

    # Google's credentials of users sign no URL without a request; its servers send no Retry-After either.
    if path.startswith(("s3://", "az://")) and not client.config.get("skip_signature"):
        return str(obstore.sign(client, "GET", name, _SIGNED_FOR))
    found = _ADDRESS.search(str(refusal))
    if found is None:
        raise ValueError(f"no address of {path} is known")
    return found[1]
