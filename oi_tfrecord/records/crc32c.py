"""The CRC-32C of a file from those of its parts, without reading the parts again.

The CRC of A followed by B is that of A, moved past the length of B, combined with that of B by exclusive or; to move a
CRC past zero bytes is linear over its bits. Source: `crc32_combine` of zlib (crc32.c), with the polynomial of CRC-32C.
"""

import functools

import google_crc32c
import numpy as np

_BITS = 32

_BYTE_SHIFTS = np.arange(0, _BITS, 8, dtype=np.uint32)


def combine(crcs: np.ndarray, lengths: np.ndarray) -> int:
    """Returns the CRC-32C of bytes that consist of parts.

    Args:
        crcs: uint32 array [parts], CRC-32C of each part, in order.
        lengths: int64 array [parts], bytes of each part.
    """
    moved = crcs.astype(np.uint32)
    following = lengths.sum() - np.cumsum(lengths)
    for power in range(int(following.max(initial=0)).bit_length()):
        is_moved = (following >> power & 1).astype(bool)
        moved[is_moved] = _apply(_move_past(power), moved[is_moved])
    return int(np.bitwise_xor.reduce(moved, initial=0))


@functools.cache
def _move_past(power: int) -> np.ndarray:
    """Returns what becomes of a CRC when 2**power zero bytes follow.

    Returns:
        uint32 array [4, 256]: for each byte of the CRC and each of its values, the value that it adds.
    """
    bits = np.uint32(1) << np.arange(_BITS, dtype=np.uint32)
    if power:
        before = _move_past(power - 1)
        columns = _apply(before, _apply(before, bits))
    else:
        moved_zero = google_crc32c.extend(0, b"\0")
        columns = np.array([google_crc32c.extend(bit, b"\0") ^ moved_zero for bit in bits.tolist()], np.uint32)
    table = np.zeros((_BITS // 8, 256), np.uint32)
    for bit, column in enumerate(columns):
        row, value = table[bit // 8], 1 << bit % 8
        row[value : 2 * value] = row[:value] ^ column
    return table


def _apply(table: np.ndarray, crcs: np.ndarray) -> np.ndarray:
    """Returns CRCs moved as a table of `_move_past` says."""
    low, second, third, high = (crcs >> shift & 0xFF for shift in _BYTE_SHIFTS)
    moved: np.ndarray = table[0][low] ^ table[1][second] ^ table[2][third] ^ table[3][high]
    return moved
