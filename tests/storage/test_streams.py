import hashlib
import io
import random

import google_crc32c
import pytest

from oi_tfrecord.storage.streams import ForwardStream, HashingStream


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


@pytest.mark.parametrize("chunk", [1, 7, 512, 5000, 20_000])
def test_pieces_of_a_forward_stream_are_its_bytes(chunk: int) -> None:
    data = random.Random(7).randbytes(10_000)
    stream = ForwardStream(data[start : start + chunk] for start in range(0, len(data), chunk))
    assert b"".join(stream.pieces(100, 3000)) == data[100:3000]
    assert stream.tell() == 3000
    assert stream.read(10) == data[3000:3010]
    assert b"".join(stream.pieces(4000, 4000)) == b""
    assert b"".join(stream.pieces(9000, 12_000)) == data[9000:]


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
