"""Objects of s3://, gs:// and az://, and files of web servers, in one request each, by many threads at once.

Beam's filesystems make a client for every file they open and ask for its size first: two requests, a connection and
several milliseconds of processor time for each file. A client made here serves all threads of a process. Its settings
come from Beam's flags, so that one command line is enough for both; what flags leave open comes from the environment
and the files that the clouds' own tools read.
"""

import dataclasses
import re
from typing import Any

from oi_tfrecord.storage.object_faults import explain, is_past_end, may_pass
from oi_tfrecord.storage.retry import RetryPolicy, retry

DIRECT_SCHEMES = ("s3://", "gs://", "az://", "https://", "http://")
"""Schemes whose files are read past Beam."""

READ_RETRY = RetryPolicy(attempts=9, base_delay=0.5, max_delay=30.0)
"""Outlasts a store that is slow for a minute or two."""

LOOK_RETRY = RetryPolicy(attempts=3, base_delay=0.5)
"""For sizes, which are asked for while a run is planned: a user waits for the error."""

_NAME = re.compile(r"([a-z0-9]+://[^/]+)/(.+)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class ObjectStore:
    """The objects of a bucket or of a web server; its methods may be called from several threads.

    Attributes:
        client: a store of `obstore`.
    """

    client: Any

    def read(self, path: str) -> bytes:
        """Returns the bytes of an object; raises as `read_range`."""
        return self.read_range(path, 0, None)

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
            StorageError: if the store cannot be reached or refuses.
        """
        name = split_path(path)[1]
        try:
            return retry(lambda: _read_once(self.client, name, offset, length), may_pass, READ_RETRY)
        except Exception as error:
            if is_past_end(error):
                return b""
            raise explain(error, path) from error

    def size(self, path: str) -> int | None:
        """Returns the bytes of an object, None if there is none; raises as `read_range`."""
        name = split_path(path)[1]
        try:
            return retry(lambda: _look(self.client, name), may_pass, LOOK_RETRY)
        except Exception as error:
            explained = explain(error, path)
            if isinstance(explained, FileNotFoundError):
                return None
            raise explained from error

    def write_empty(self, path: str) -> None:
        """Writes an object without any bytes."""
        import obstore

        obstore.put(self.client, split_path(path)[1], b"")


def split_path(path: str) -> tuple[str, str]:
    """Returns the root of an object's bucket or server, such as `s3://bucket`, and the name of the object.

    Raises:
        FileNotFoundError: if the path names no object.
    """
    parts = _NAME.fullmatch(path)
    if parts is None or "//" in parts[2]:
        raise FileNotFoundError(2, "names no object", path)
    return parts[1], parts[2]


def _read_once(client: Any, name: str, offset: int, length: int | None) -> bytes:
    import obstore

    if offset and length is not None:
        return bytes(obstore.get_range(client, name, start=offset, length=length))
    # A server without ranges answers this request, too.
    answer = obstore.get(client, name, options={"range": {"offset": offset}} if offset else None)
    if length is None or answer.meta["size"] - offset <= length:
        return bytes(answer.bytes())
    pieces, missing = [], length
    for piece in answer.stream():
        pieces.append(bytes(piece[:missing]))
        missing -= len(pieces[-1])
        if not missing:
            break
    return b"".join(pieces)


def _look(client: Any, name: str) -> int:
    import obstore

    try:
        return int(obstore.head(client, name)["size"])
    except Exception as error:
        if may_pass(error):
            raise
    # The answer to HEAD has no body that says what is wrong, and some servers refuse HEAD.
    return int(obstore.get(client, name).meta["size"])
