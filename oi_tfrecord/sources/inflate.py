"""Inflates from the middle of a deflate stream, where a block starts.

Formats: RFC 1951 (deflate) and RFC 1952 (gzip). The method is that of zlib's examples/zran.c: inflating starts at a
block, with the 32 KiB of output before the block (the window) as a dictionary. Two things differ from zran.c:

A block starts at any bit, and zran.c shifts the stream with `inflatePrime`, which Python's zlib lacks. Here the bits
before the block are replaced by blocks without output, which end where the block starts:

    stored    | a a a b b b b b | b b b b b b b b | ...   b: the block, a: bits of the block before
    inflated  | e e e e e e e e | ... | e e e b b b b b | b b b b b b b b | ...   e: empty blocks

Images hardly repeat, so a block refers to few bytes of its window. The window is stored with zeros for all other bytes
(`sparse_window`), and is then compressed from 32 KiB to about 300 bytes. rapidgzip stores windows the same way.
"""

import zlib
from collections.abc import Sequence

import numpy as np

WINDOW = 1 << 15
"""How far back a deflate stream can refer, in bytes."""

_TRAILER = 8
"""Bytes of CRC-32 and size behind a deflate stream in a gzip file."""

_PIECE = 1 << 12

_GZIP_BITS = 31

_OFFSETS = np.arange(WINDOW)

_PROBES = [values.astype(np.uint8).tobytes() for values in (_OFFSETS & 255, _OFFSETS >> 8, ~_OFFSETS & 255)]
"""Windows whose bytes say their own offset: its low byte, its high byte, and its low byte inverted."""


def inflate(data: bytes, bits: int, window: bytes, length: int) -> bytes:
    """Returns up to `length` bytes of output from the start of a block on.

    Args:
        data: compressed bytes; the block starts within the first byte if `bits` is not 0.
        bits: number of high bits of the first byte that belong to the block, 1 to 7; 0 if the whole byte does.
        window: WINDOW bytes of output before the block; empty if the output refers to nothing before the block.
        length: bytes of output.

    Returns:
        The output, shorter if `data` ends before.

    Raises:
        zlib.error: if `data` is damaged.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS, zdict=window) if window else zlib.decompressobj(-zlib.MAX_WBITS)
    pieces = [stream.decompress(_align(data, bits), length)]
    missing = length - len(pieces[0])
    rest = stream.unused_data[_TRAILER:]
    # A gzip file may hold several streams, one after the other.
    while missing and (rest := rest.lstrip(b"\0")):
        stream = zlib.decompressobj(_GZIP_BITS)
        pieces.append(stream.decompress(rest, missing))
        missing -= len(pieces[-1])
        rest = stream.unused_data
    return b"".join(pieces)


def inflate_good(data: bytes, bits: int, window: bytes) -> bytes:
    """Returns the output of a damaged or cut off stream up to about the damage; arguments as of `inflate`."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS, zdict=window) if window else zlib.decompressobj(-zlib.MAX_WBITS)
    pieces, rest, trailer = [], _align(data, bits), _TRAILER
    try:
        while rest:
            for start in range(0, len(rest), _PIECE):
                pieces.append(stream.decompress(rest[start : start + _PIECE]))
                if stream.eof:
                    rest = (stream.unused_data + rest[start + _PIECE :])[trailer:].lstrip(b"\0")
                    break
            else:
                break
            stream, trailer = zlib.decompressobj(_GZIP_BITS), 0
    except zlib.error:
        pass
    return b"".join(pieces)


def sparse_window(data: bytes, bits: int, window: bytes, length: int) -> bytes:
    """Returns the window with zeros for the bytes that the output does not refer to; empty if it refers to none.

    The output is inflated with each of the three probes as window. An output byte is copied from the window if the
    probes of the low byte and of the inverted low byte give different values, as in this drawing of a literal A and
    two bytes that are copied from the offsets 0x0102 and 0x0103:

        low       41 02 03
        inverted  41 FD FC      A is the same, so it is no copy; the others are copies
        high      41 01 01      and come from the offsets (high, low) = 0x0102, 0x0103

    Args:
        data: compressed bytes, as of `inflate`.
        bits: as of `inflate`.
        window: as of `inflate`.
        length: bytes of output that will be inflated.
    """
    size = max(min(length, WINDOW), 1)
    low, high, inverted = (
        np.frombuffer(zlib.decompressobj(-zlib.MAX_WBITS, zdict=probe).decompress(_align(data, bits), size), np.uint8)
        for probe in _PROBES
    )
    is_copied = low != inverted
    offsets = np.unique(low[is_copied].astype(np.int64) | high[is_copied].astype(np.int64) << 8)
    if not len(offsets):
        return b""
    sparse = np.zeros(WINDOW, np.uint8)
    sparse[offsets] = np.frombuffer(window, np.uint8)[offsets]
    return sparse.tobytes()


def _align(data: bytes, bits: int) -> bytes:
    """Returns bytes with which inflating can start: empty blocks replace the bits before the block."""
    if not bits or not data:
        return data
    value, count = _EMPTY_BLOCKS[-bits % 8]
    value |= (data[0] >> (8 - bits)) << count
    return value.to_bytes((count + bits) // 8, "little") + data[1:]


def _bit_string(parts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Returns (value, number of bits) of such pairs one after the other, the first in the lowest bits."""
    value = count = 0
    for part, bits in parts:
        value |= part << count
        count += bits
    return value, count


def _make_empty_blocks() -> dict[int, tuple[int, int]]:
    """Returns (value, number of bits) of blocks without output, by their number of bits modulo 8.

    A block of fixed codes has 10 bits, so 0 to 3 of them have 0, 2, 4 or 6 bits modulo 8. A block of its own codes has
    95 bits, which adds 7 for the odd numbers.
    """
    # Fixed codes (RFC 1951, 3.2.3 and 3.2.6): not the last block, type 1, end of block.
    fixed = _bit_string([(0, 1), (1, 2), (0, 7)])
    # Own codes (3.2.7): 257 literal codes, of which only the end of block has a length, and 1 distance code without
    # a length. The lengths are coded by 18 (138 and 118 zeros), 1 and 0.
    code_lengths = {18: 1, 0: 2, 1: 2}
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    lengths = [(code_lengths.get(symbol, 0), 3) for symbol in order]
    zeros = [(0, 1), (138 - 11, 7), (0, 1), (118 - 11, 7)]
    own = _bit_string([(0, 1), (2, 2), (0, 5), (0, 5), (15, 4), *lengths, *zeros, (0b11, 2), (0b01, 2), (0, 1)])
    blocks: dict[int, tuple[int, int]] = {}
    for own_count in (0, 1):
        for fixed_count in range(4):
            value, count = _bit_string([own] * own_count + [fixed] * fixed_count)
            blocks[count % 8] = value, count
    return blocks


_EMPTY_BLOCKS = _make_empty_blocks()
