import gzip
import io
import random
import zlib

import google_crc32c
import pytest

from oi_tfrecord.sources.gunzip import Gunzip, GzipDamaged

DATA = random.Random(1).randbytes(300_000) + bytes(2_000_000)


def unpack(data: bytes, piece: int = 1000) -> bytes:
    return b"".join(Gunzip(io.BytesIO(data), piece).chunks())


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("padding", [0, 1, 600])
def test_whole_streams_are_unpacked(piece: int, padding: int) -> None:
    small = gzip.compress(DATA[:3000])
    data = small + small + bytes(padding) + gzip.compress(b"") + bytes(padding)
    assert unpack(data, piece) == 2 * DATA[:3000]
    assert unpack(gzip.compress(DATA, 1), max(piece, 1000)) == DATA


def test_what_is_read_is_summed_and_what_is_held_is_bounded() -> None:
    data = gzip.compress(bytes(30 << 20))
    gunzip = Gunzip(io.BytesIO(data))
    assert max(map(len, gunzip.chunks())) <= 1 << 20
    assert (gunzip.read_bytes, gunzip.crc32c) == (len(data), google_crc32c.value(data))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:-8] + zlib.crc32(b"other").to_bytes(4, "little") + data[-4:], "CRC-32 does not match"),
        (lambda data: data[:-4] + b"abcd", "the length does not match"),
        (lambda data: data[:5000], "is cut off at byte 5,000, within the gzip stream from byte 0"),
        (lambda data: data[:-1], "is cut off"),
        (lambda data: data + b"xyz", "are no gzip stream"),
        (lambda data: data + bytes(600) + b"xyz", f"the bytes from {len(gzip.compress(DATA)) + 600:,} on"),
        (
            lambda data: data + gzip.compress(DATA)[:-1],
            f"within the gzip stream from byte {len(gzip.compress(DATA)):,}",
        ),
        (lambda data: b"", "is empty"),
    ],
)
def test_damage_is_named_by_its_place(change, says: str) -> None:  # type: ignore[no-untyped-def]
    for piece in (997, 1 << 20):
        with pytest.raises(GzipDamaged) as raised:
            unpack(change(gzip.compress(DATA)), piece)
        assert says in str(raised.value)
