import gzip
import io
import random
import sys
import zlib
from collections.abc import Iterator

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.sources import gzip_index
from oi_tfrecord.sources.gzip_index import GzipIndexer, GzipPart, header_length, load_indexed_gzip
from oi_tfrecord.sources.inflate import WINDOW
from oi_tfrecord.storage import streams

pytest.importorskip("indexed_gzip", reason="needs pip install '.[archives]'")


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_index, "SEGMENT", 1 << 20)
    for module in (gzip_index, streams):
        monkeypatch.setattr(module, "CHUNK_BYTES", 1 << 18)


def mixed(size: int, seed: int = 1) -> bytes:
    """Returns bytes of which deflate keeps some as they are, and finds some again."""
    chosen = random.Random(seed)
    pieces: list[bytes] = []
    length = 0
    while length < size:
        again = pieces and chosen.random() < 0.3
        piece = chosen.choice(pieces[-20:]) if again else chosen.randbytes(chosen.randrange(1, 3000))
        pieces.append(piece)
        length += len(piece)
    return b"".join(pieces)[:size]


def read_again(data: bytes, part: GzipPart, length: int) -> bytes:
    return part.inflate(data[part.offset : part.offset + part.stored], length)


def spans(size: int) -> Iterator[tuple[int, int]]:
    chosen = random.Random(2)
    start = 0
    while start < size:
        end = min(start + chosen.randrange(1, 60_000), size)
        yield start, end
        start = end + chosen.randrange(0, 1000)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("streams", [1, 3])
def test_any_part_can_be_read_again(level: int, streams: int) -> None:
    parts = [mixed(4_000_000 // streams, seed) for seed in range(streams)]
    data = b"".join(gzip.compress(part, level) for part in parts)
    whole = b"".join(parts)
    indexer = GzipIndexer(io.BytesIO(data), len(data))
    given = b""
    waiting = list(spans(len(whole)))
    found: list[tuple[int, int, GzipPart]] = []
    for chunk in indexer.chunks():
        given += chunk
        while waiting and waiting[0][1] <= len(given) and (part := indexer.part(*waiting[0])):
            found.append((*waiting.pop(0), part))
        indexer.forget(waiting[0][0] if waiting else len(given))
    indexer.finish()
    assert given == whole
    assert found, "the places of a segment must be known before the file ends"
    for start, end in waiting:
        part = indexer.part(start, end)
        assert part is not None
        found.append((start, end, part))
    for start, end, part in found:
        assert read_again(data, part, end - start) == whole[start:end]
    # A block holds at most 64 KiB of what cannot be compressed, and the places are about as far apart.
    assert max(part.skip for *_, part in found) < 3 * gzip_index.SPACING
    assert max(len(part.packed_window) for *_, part in found) < WINDOW


def test_what_is_held_does_not_grow_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(random.Random(3).randbytes(12 << 20), 1)
    indexer = GzipIndexer(io.BytesIO(data), len(data))
    places, stored = [], []
    given = 0
    for chunk in indexer.chunks():
        given += len(chunk)
        indexer.forget(given)
        places.append(len(indexer._points))
        stored.append(len(indexer._stored._data))
    in_segment = gzip_index.SEGMENT // gzip_index.SPACING
    assert max(places) <= 2 * in_segment
    assert max(stored) < 4 * gzip_index.SEGMENT < len(data)


@pytest.mark.parametrize("cut", [11, 1000, 500_000, 1_500_000, 2_000_001])
def test_a_cut_file_gives_all_that_can_be_inflated(cut: int) -> None:
    data = gzip.compress(mixed(3_000_000))[:cut]
    indexer = GzipIndexer(io.BytesIO(data), len(data))
    given = b"".join(indexer.chunks())
    indexer.finish()
    available = zlib.decompressobj(31).decompress(data)
    assert available.startswith(given)
    # The library keeps back what follows the last whole block that it saw.
    assert len(available) - len(given) < 2 * gzip_index.SPACING
    if given:
        part = indexer.part(0, len(given))
        assert part is not None
        assert read_again(data, part, len(given)) == given


def test_a_damaged_file_ends_at_the_damage() -> None:
    whole = mixed(3_000_000)
    data = bytearray(gzip.compress(whole))
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    before = zlib.decompressobj(31).decompress(data[:middle])
    indexer = GzipIndexer(io.BytesIO(bytes(data)), len(data))
    given = b"".join(indexer.chunks())
    indexer.finish()
    assert len(given) < len(whole)
    sure = len(before) - 2 * gzip_index.SPACING
    assert given[:sure] == before[:sure]
    part = indexer.part(0, sure)
    assert part is not None
    assert read_again(bytes(data), part, sure) == before[:sure]


def test_a_fault_of_the_storage_is_no_end_of_the_file() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1_000_000:
                raise ConnectionError("storage is away")
            return super().read(size)

    data = gzip.compress(random.Random(4).randbytes(3_000_000))
    with pytest.raises(ConnectionError, match="storage is away"):
        list(GzipIndexer(Failing(data), len(data)).chunks())


@pytest.mark.parametrize("small", [b"", b"x", b"small" * 100])
def test_a_small_file(small: bytes) -> None:
    data = gzip.compress(small)
    indexer = GzipIndexer(io.BytesIO(data), len(data))
    assert b"".join(indexer.chunks()) == small
    indexer.finish()
    part = indexer.part(0, len(small))
    assert part is not None
    assert not small or read_again(data, part, len(small)) == small


def header(flags: int, *fields: bytes) -> bytes:
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + b"".join(fields)


@pytest.mark.parametrize(
    "data",
    [
        header(0),
        header(8, b"name.tar\0"),
        header(16, b"comment\0"),
        header(4, b"\3\0abc"),
        header(2, b"cc"),
        header(31, b"\3\0a\0c", b"name\0", b"comment\0", b"cc"),
        header(1),
    ],
)
def test_headers_are_measured(data: bytes) -> None:
    assert header_length(data + b"deflate\0\0") == len(data)
    for cut in range(len(data)):
        assert header_length(data[:cut]) <= cut


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "indexed_gzip", None)
    with pytest.raises(ConfigError, match="pip install 'indexed-gzip"):
        load_indexed_gzip()
