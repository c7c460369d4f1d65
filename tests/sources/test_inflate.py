import random
import zlib

import pytest

from oi_tfrecord.sources.inflate import WINDOW, inflate, inflate_good, sparse_window


class Bits:
    """A deflate stream written by hand, bit by bit (RFC 1951)."""

    def __init__(self) -> None:
        self.value = self.count = 0

    def put(self, value: int, bits: int) -> None:
        self.value |= value << self.count
        self.count += bits

    def code(self, value: int, bits: int) -> None:
        """Huffman codes are written from their highest bit on."""
        self.put(int(f"{value:0{bits}b}"[::-1], 2), bits)

    def stored(self, data: bytes) -> None:
        self.put(0, 3)
        self.put(0, -self.count % 8)
        self.put(len(data), 16)
        self.put(len(data) ^ 0xFFFF, 16)
        for byte in data:
            self.put(byte, 8)

    def literals(self, data: bytes) -> None:
        """A block of fixed codes: 8 bits for a byte below 144, 9 above."""
        self.put(0b010, 3)
        for byte in data:
            self.code(0x30 + byte, 8) if byte < 144 else self.code(0x190 + byte - 144, 9)
        self.code(0, 7)

    def repeat(self, length: int, distance: int) -> None:
        """A block that repeats 3 bytes from 1 to 4 bytes back."""
        assert length == 3
        assert 1 <= distance <= 4
        self.put(0b010, 3)
        self.code(257 - 256, 7)
        self.code(distance - 1, 5)
        self.code(0, 7)

    def far(self) -> None:
        """A block that repeats the 3 bytes 32768 bytes back."""
        self.put(0b010, 3)
        self.code(257 - 256, 7)
        self.code(29, 5)
        self.put(8191, 13)
        self.code(0, 7)

    def end(self) -> None:
        self.put(0b011, 3)
        self.code(0, 7)

    def bytes(self) -> bytes:
        return self.value.to_bytes(-(-self.count // 8), "little")


def place_of(count: int) -> tuple[int, int]:
    """Returns (first byte, bits of it) of a block that starts after `count` bits."""
    return count // 8, -count % 8


@pytest.mark.parametrize("bits_before", range(8))
def test_starts_at_any_bit(bits_before: int) -> None:
    stream = Bits()
    # A fixed block of nothing has 10 bits, one with a byte from 144 on has 19.
    stream.literals(b"\xff" * (bits_before % 2))
    while stream.count % 8 != bits_before:
        stream.literals(b"")
    first, bits = place_of(stream.count)
    before = len(zlib.decompressobj(-15).decompress(stream.bytes()))
    stream.literals(b"first \xf0 ")
    stream.stored(b"stored blocks start at a byte ")
    stream.literals(b"abcd")
    stream.repeat(3, 4)
    stream.end()
    output = zlib.decompress(stream.bytes(), -15)[before:]
    assert output == b"first \xf0 stored blocks start at a byte abcdabc"
    assert inflate(stream.bytes()[first:], bits, b"", len(output)) == output
    assert inflate(stream.bytes()[first:], bits, b"", 7) == output[:7]
    assert inflate_good(stream.bytes()[first:], bits, b"") == output


@pytest.mark.parametrize("bits_before", range(8))
def test_a_window_keeps_what_is_referred_to(bits_before: int) -> None:
    window = random.Random(bits_before).randbytes(WINDOW)
    stream = Bits()
    stream.put(0, bits_before)
    first, bits = place_of(stream.count)
    stream.far()
    stream.literals(b"x")
    stream.repeat(3, 4)
    stream.repeat(3, 4)
    stream.end()
    data = stream.bytes()[first:]
    # The window's first bytes, then a repetition of the repeated; then of what is in the output already.
    expected = window[:3] + b"x" + window[:3] + b"x" + window[:2]
    assert inflate(data, bits, window, 10) == expected
    sparse = sparse_window(data, bits, window, 10)
    assert sparse == window[:3] + bytes(WINDOW - 3)
    assert inflate(data, bits, sparse, 10) == expected


def test_no_window_is_kept_where_nothing_refers_to_it() -> None:
    stream = Bits()
    stream.literals(bytes(range(256)))
    stream.repeat(3, 4)
    stream.end()
    assert sparse_window(stream.bytes(), 0, bytes(WINDOW), 259) == b""


def test_bytes_of_every_place_of_the_window() -> None:
    # Each output byte comes from another place, so that each place is found.
    window = random.Random(2).randbytes(WINDOW)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, window)
    output = window[300:]
    data = compressor.compress(output) + compressor.flush()
    sparse = sparse_window(data, 0, window, len(output))
    assert inflate(data, 0, sparse, len(output)) == output
    kept = [place for place in range(WINDOW) if sparse[place]]
    assert set(kept) <= set(range(300, WINDOW))
    assert len(kept) > WINDOW // 2


def test_streams_one_after_the_other() -> None:
    parts = [random.Random(number).randbytes(5000) for number in range(3)]
    files = []
    for part in parts:
        compressor = zlib.compressobj(wbits=31)
        files.append(compressor.compress(part) + compressor.flush())
    # From behind the header of the first, with zeros between the second and the third, as tapes pad.
    data = files[0][10:] + files[1] + bytes(512) + files[2] + bytes(100)
    whole = b"".join(parts)
    assert inflate(data, 0, b"", len(whole)) == whole
    assert inflate(data, 0, b"", len(whole) + 1000) == whole
    assert inflate(data, 0, b"", 7000) == whole[:7000]
    assert inflate_good(data, 0, b"") == whole
    assert inflate_good(data[: len(files[0]) + 2000], 0, b"")[: len(parts[0]) + 1500] == whole[: len(parts[0]) + 1500]


def test_damage_ends_the_good_output() -> None:
    text = b"".join(b"%d is a number, " % number for number in range(20_000))
    compressor = zlib.compressobj(wbits=-15)
    data = bytearray(compressor.compress(text) + compressor.flush())
    middle = len(data) // 2
    data[middle : middle + 4] = b"\xff" * 4
    with pytest.raises(zlib.error):
        inflate(bytes(data), 0, b"", len(text))
    good = inflate_good(bytes(data), 0, b"")
    assert len(text) // 4 < len(good) < len(text)
    # What is inflated from the damage on may be wrong for a while before that shows.
    assert good[: len(text) // 4] == text[: len(text) // 4]
