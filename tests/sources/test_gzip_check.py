import gzip
import io
import random
import zlib

import pytest

from oi_tfrecord.sources.gzip_check import CheckedGzip

DATA = random.Random(1).randbytes(300_000) + bytes(2_000_000)


def fault_of(data: bytes, piece: int = 1000) -> str:
    return CheckedGzip(io.BytesIO(data)).finish(piece)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("padding", [0, 1, 600])
def test_whole_streams_have_no_fault(piece: int, padding: int) -> None:
    small = gzip.compress(DATA[:3000])
    assert fault_of(small + small + bytes(padding) + gzip.compress(b"") + bytes(padding), piece) == ""
    assert fault_of(gzip.compress(DATA, 1), max(piece, 1000)) == ""


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
        assert says in fault_of(change(gzip.compress(DATA)), piece)
