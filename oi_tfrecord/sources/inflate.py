"""Inflates from the middle of a deflate stream: a place to start, and the few bytes before it that matter.

Format: RFC 1951 (deflate) and RFC 1952 (gzip). The method is that of zlib's examples/zran.c, with two
differences: blocks without output bring the stream to the bit, as Python's zlib cannot start within a
byte, and of the 32 KiB before the place only the bytes that are referred to are kept.
"""

import zlib
from collections.abc import Sequence

import numpy as np

WINDOW = 1 << 15
"""How far back a deflate stream can refer, in bytes."""

_TRAILER = 8

_PIECE = 1 << 12

_GZIP_BITS = 31

_PLACES = np.arange(WINDOW)

_PROBES = [values.astype(np.uint8).tobytes() for values in (_PLACES & 255, _PLACES >> 8, ~_PLACES & 255)]


def inflate(data: bytes, bits: int, window: bytes, length: int) -> bytes:
    """Returns up to `length` bytes of output from the start of a block on.

    Args:
        data: compressed bytes; the block starts within the first if `bits` is not 0.
        bits: high bits of the first byte that belong to the block, 0 to 7; 0 is all of it.
        window: WINDOW bytes of output before the block, or none if the block refers to nothing before it.
        length: bytes wanted.

    Returns:
        Fewer bytes if `data` ends before.

    Raises:
        zlib.error: if `data` is damaged.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS, zdict=window) if window else zlib.decompressobj(-zlib.MAX_WBITS)
    pieces = [stream.decompress(_align(data, bits), length)]
    missing = length - len(pieces[0])
    rest = stream.unused_data[_TRAILER:]
    # A gzip file may be several streams, one after the other.
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


def thin_window(data: bytes, bits: int, window: bytes, length: int) -> bytes:
    """Returns the window with 0 for each byte that the output does not come from; empty if it comes from none.

    The output is made three times, from windows that tell in each byte where it is: its place's low byte, its
    high byte, and the low byte inverted. An output byte comes from the window where the first and the
    third differ, and then the first two name the place. Images hardly repeat, so of 32 KiB some 100 bytes stay.

    Args:
        data, bits, window: as of `inflate`.
        length: bytes of output that will be wanted.
    """
    wanted = max(min(length, WINDOW), 1)
    low, high, inverted = (
        np.frombuffer(zlib.decompressobj(-zlib.MAX_WBITS, zdict=probe).decompress(_align(data, bits), wanted), np.uint8)
        for probe in _PROBES
    )
    referring = low != inverted
    places = np.unique(low[referring].astype(np.int64) | high[referring].astype(np.int64) << 8)
    if not len(places):
        return b""
    thinned = np.zeros(WINDOW, np.uint8)
    thinned[places] = np.frombuffer(window, np.uint8)[places]
    return thinned.tobytes()


def _align(data: bytes, bits: int) -> bytes:
    """Returns bytes that start with the block: blocks without output take the place of the bits before it."""
    if not bits or not data:
        return data
    value, count = _FILLERS[-bits % 8]
    value |= (data[0] >> (8 - bits)) << count
    return value.to_bytes((count + bits) // 8, "little") + data[1:]


def _bit_string(parts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Returns (value, number of bits) of such pairs one after the other, the first in the lowest bits."""
    value = count = 0
    for part, bits in parts:
        value |= part << count
        count += bits
    return value, count


def _make_fillers() -> dict[int, tuple[int, int]]:
    """Returns sequences of empty blocks by their number of bits modulo 8."""
    # A block of fixed codes: not the last, type 1, end of block (RFC 1951, 3.2.3 and 3.2.6). 10 bits.
    fixed = _bit_string([(0, 1), (1, 2), (0, 7)])
    # A block of its own codes (3.2.7): 257 literal codes, of which just the end of block has a length, and
    # 1 distance code without. Lengths are coded by 18 (zeros, 138 and 118 of them), 1 and 0. 95 bits.
    code_lengths = {18: 1, 0: 2, 1: 2}
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    lengths = [(code_lengths.get(symbol, 0), 3) for symbol in order]
    zeros = [(0, 1), (138 - 11, 7), (0, 1), (118 - 11, 7)]
    own = _bit_string([(0, 1), (2, 2), (0, 5), (0, 5), (15, 4), *lengths, *zeros, (0b11, 2), (0b01, 2), (0, 1)])
    fillers: dict[int, tuple[int, int]] = {}
    for odd in (0, 1):
        for even in range(4):
            value, count = _bit_string([own] * odd + [fixed] * even)
            fillers[count % 8] = value, count
    return fillers


_FILLERS = _make_fillers()
