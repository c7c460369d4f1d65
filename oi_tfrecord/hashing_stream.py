"""A file that is read once, and hashed while it is."""

import concurrent.futures
import hashlib
from typing import BinaryIO

_HASH_BYTES = 1 << 20


class HashingStream:
    """Reads a file and hashes what it reads on a thread of its own, as hashing leaves the interpreter lock alone."""

    def __init__(self, file: BinaryIO, wanted: bool):
        """Args:
        file: opened for reading bytes.
        wanted: whether the digest is wanted.
        """
        self._file = file
        self._digest = hashlib.sha256()
        self._executor = concurrent.futures.ThreadPoolExecutor(1) if wanted else None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._hashing: concurrent.futures.Future[None] | None = None
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes of the file, as many as there are."""
        data = self._file.read(size)
        self.size += len(data)
        if self._executor is not None:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes >= _HASH_BYTES:
                self._flush(self._executor)
        return data

    def sha256(self) -> str:
        """Returns the digest of all that was read, and ends the thread; empty if it was not wanted."""
        if self._executor is None:
            return ""
        self._flush(self._executor)
        self._executor.shutdown(wait=True)
        return self._digest.hexdigest()

    def _flush(self, executor: concurrent.futures.Executor) -> None:
        if self._hashing is not None:
            self._hashing.result()
        pieces, self._pending, self._pending_bytes = self._pending, [], 0
        self._hashing = executor.submit(self._hash, pieces)

    def _hash(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._digest.update(piece)
