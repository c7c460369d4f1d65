"""Writes one shard file: framed records, the checksums of the file, visible only when complete."""

import concurrent.futures
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from oi_tfrecord import storage
from oi_tfrecord.records.tfrecord import checksum_records, frame

_FLUSH_BYTES = 512 << 10
"""What waits to be written should still be in the cache of the processor; with 2 MiB, two shards at once are not."""

_MAX_PIECES = 1000
"""A vectored write takes at most IOV_MAX (1024) pieces."""


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A finished shard file.

    Attributes:
        records: Number of records.
        size: Bytes of the file.
        crc32c: CRC-32C of the file, 8 hex digits.
        sha256: Hex digest of the file; empty unless it is wanted.
        lengths: Bytes of the data of each record, in order.
    """

    records: int
    size: int
    crc32c: str
    sha256: str = ""
    lengths: tuple[int, ...] = dataclasses.field(default=(), compare=False)


def write_shard(
    path: str,
    temporary_folder: str,
    examples: Iterable[Sequence[bytes]],
    *,
    has_spare_cores: bool = True,
    with_sha256: bool = False,
) -> WrittenShard:
    """Writes a shard file.

    Args:
        path: Final path of the file.
        temporary_folder: Folder on the same storage for the unfinished file.
        examples: Each record's data as pieces, which are written without being joined.
        has_spare_cores: Whether another thread writes; shards on remote storage always use one.
        with_sha256: Whether to compute the SHA-256 of the file.

    Returns:
        Size and checksums of the file, and the lengths of its records. If `examples` raises, no file appears.
    """
    lengths: list[int] = []
    headers, footers = bytearray(), bytearray()
    in_threads = has_spare_cores or not storage.is_local(path)
    digests = [hashlib.sha256()] if with_sha256 else []
    with storage.create(path, temporary_folder) as stream, _ShardStream(stream, in_threads, digests) as writer:
        for pieces in examples:
            header, footer = frame(pieces)
            writer.write((header, *pieces, footer))
            headers += header
            footers += footer
            lengths.append(sum(map(len, pieces)))
    sha256 = "".join(digest.hexdigest() for digest in digests)
    crc32c = checksum_records(bytes(headers), lengths, bytes(footers))
    return WrittenShard(len(lengths), writer.size, f"{crc32c:08x}", sha256, tuple(lengths))


class _ShardStream:
    """Writes and hashes, on further threads if wanted, because neither needs the interpreter lock."""

    def __init__(self, stream: BinaryIO, in_threads: bool, digests: Sequence["hashlib._Hash"]):
        self._stream = stream
        self._digests = digests
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._writing: concurrent.futures.Future[None] | None = None
        self._hashing: concurrent.futures.Future[None] | None = None
        self._executor = concurrent.futures.ThreadPoolExecutor(1 + len(digests)) if in_threads else None
        self.size = 0

    def __enter__(self) -> "_ShardStream":
        return self

    def write(self, pieces: Sequence[bytes]) -> None:
        self._pending += pieces
        self._pending_bytes += sum(map(len, pieces))
        if self._pending_bytes >= _FLUSH_BYTES or len(self._pending) >= _MAX_PIECES - 8:
            self._flush()

    def _flush(self) -> None:
        self._wait()
        pieces, self._pending = self._pending, []
        self.size += self._pending_bytes
        self._pending_bytes = 0
        if self._executor is None:
            self._write(pieces)
            self._hash(pieces)
            return
        self._writing = self._executor.submit(self._write, pieces)
        self._hashing = self._executor.submit(self._hash, pieces) if self._digests else None

    def _wait(self) -> None:
        for future in (self._writing, self._hashing):
            if future is not None:
                future.result()

    def _write(self, pieces: list[bytes]) -> None:
        try:
            descriptor = self._stream.fileno()
        except OSError:
            self._stream.write(b"".join(pieces))
            return
        for start in range(0, len(pieces), _MAX_PIECES):
            vector = pieces[start : start + _MAX_PIECES]
            missing = sum(map(len, vector)) - os.writev(descriptor, vector)
            if missing:
                data = b"".join(vector)[-missing:]
                while data:
                    data = data[os.write(descriptor, data) :]

    def _hash(self, pieces: list[bytes]) -> None:
        for digest in self._digests:
            for piece in pieces:
                digest.update(piece)

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
            self._wait()
        finally:
            if self._executor is not None:
                self._executor.shutdown(wait=True)
