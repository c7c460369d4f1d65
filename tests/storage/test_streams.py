import hashlib
import io
import random

import google_crc32c
import pytest

from oi_tfrecord.storage.streams import CHUNK_BYTES, ForwardStream, HashingStream, RecentBytes


def test_forward_stream_moves_forward_and_a_block_back() -> None:
    data = random.Random(5).randbytes(10_000)
    for chunk in (1, 7, 512, 5000, 20_000):
        stream = ForwardStream(data[start : start + chunk] for start in range(0, len(data), chunk))
        reader = random.Random(6)
        position = 0
        while position < len(data):
            stream.seek(position)
            length = reader.randrange(1, 1500)
            assert stream.read(length) == data[position : position + length]
            assert stream.tell() == min(position + length, len(data))
            position += reader.randrange(max(length - 512, 0), 2000)
        stream.seek(len(data) + 5)
        assert stream.read(3) == b""


def test_forward_stream_refuses_what_is_gone() -> None:
    stream = ForwardStream(iter([bytes(1000)] * 5))
    stream.seek(4000)
    stream.read(10)
    stream.seek(0)
    with pytest.raises(io.UnsupportedOperation):
        stream.read(1)


def test_recent_bytes_are_kept_until_they_are_forgotten() -> None:
    data = random.Random(7).randbytes(3 * CHUNK_BYTES + 5)
    recent = RecentBytes(io.BytesIO(data), len(data))
    assert recent.at(10, 20) == data[10:20]
    assert recent.end == CHUNK_BYTES
    assert recent.at(CHUNK_BYTES - 5, CHUNK_BYTES + 5) == data[CHUNK_BYTES - 5 : CHUNK_BYTES + 5]
    recent.forget(CHUNK_BYTES)
    recent.forget(5)
    assert recent.at(CHUNK_BYTES, CHUNK_BYTES + 3) == data[CHUNK_BYTES : CHUNK_BYTES + 3]
    with pytest.raises(ValueError, match="was dropped"):
        recent.at(CHUNK_BYTES - 1, CHUNK_BYTES + 3)
    assert recent.at(3 * CHUNK_BYTES, 9 * CHUNK_BYTES) == data[3 * CHUNK_BYTES :]
    assert recent.end == len(data)


def test_recent_bytes_are_a_file() -> None:
    data = random.Random(8).randbytes(1000)
    recent = RecentBytes(io.BytesIO(data), len(data))
    assert recent.seek(-10, io.SEEK_END) == 990
    assert recent.read() == data[990:]
    assert recent.seek(5) == recent.tell() == 5
    assert recent.read(4) == data[5:9]
    assert recent.seek(1, io.SEEK_CUR) == 10
    assert recent.read(3) == data[10:13]


def test_a_fault_of_the_storage_is_kept() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionError("storage is away")

    recent = RecentBytes(Failing(), 10)
    recent.raise_fault()
    with pytest.raises(ConnectionError):
        recent.read(1)
    with pytest.raises(ConnectionError, match="storage is away"):
        recent.raise_fault()


def test_the_bytes_that_are_read_are_hashed() -> None:
    data = random.Random(1).randbytes(5 << 20)
    stream = HashingStream(io.BytesIO(data), computes_sha256=True)
    pieces = []
    size = 1
    while piece := stream.read(size):
        pieces.append(piece)
        size = size * 3 % 1_000_003
    assert b"".join(pieces) == data
    assert stream.size == len(data)
    assert stream.sha256() == hashlib.sha256(data).hexdigest()
    assert stream.crc32c == google_crc32c.value(data)


def test_the_sha256_is_computed_only_if_it_is_wanted() -> None:
    stream = HashingStream(io.BytesIO(b"abc"), computes_sha256=False)
    assert (stream.read(5), stream.size, stream.sha256()) == (b"abc", 3, "")
