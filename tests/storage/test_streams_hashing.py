import hashlib
import io
import random

from oi_tfrecord.storage.streams import HashingStream


def test_what_is_read_is_what_is_hashed() -> None:
    data = random.Random(1).randbytes(5 << 20)
    stream = HashingStream(io.BytesIO(data), wanted=True)
    pieces = []
    size = 1
    while piece := stream.read(size):
        pieces.append(piece)
        size = size * 3 % 1_000_003
    assert b"".join(pieces) == data
    assert stream.size == len(data)
    assert stream.sha256() == hashlib.sha256(data).hexdigest()


def test_nothing_is_hashed_that_is_not_wanted() -> None:
    stream = HashingStream(io.BytesIO(b"abc"), wanted=False)
    assert (stream.read(5), stream.size, stream.sha256()) == (b"abc", 3, "")
