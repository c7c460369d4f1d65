"""ImageIDs from their text, whole columns at once."""

import numpy as np
import numpy.typing as npt


def image_ids(digits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64] | None:
    """Reads ImageIDs from their text.

    Args:
        digits: uint8 array [16 n], the hex digits of the IDs, one ID after the other.

    Returns:
        uint64 array [n], or None if any byte is no lower-case hex digit.
    """
    words = digits.view("<u8")
    result = np.empty(len(words) // 2, np.uint64)
    # Eight digits at a time, in pieces that stay in the processor's cache.
    step = 1 << 14
    for begin in range(0, len(words), step):
        word = words[begin : begin + step]
        high = np.uint64(0x8080808080808080)
        # Each sum sets a byte's high bit where the character is at least '0', ':', 'a' and 'g'.
        low = word & ~high
        decimal = (low + np.uint64(0x5050505050505050)) & ~(low + np.uint64(0x4646464646464646))
        letter = (low + np.uint64(0x1F1F1F1F1F1F1F1F)) & ~(low + np.uint64(0x1919191919191919))
        if (((decimal | letter) & ~word & high) != high).any():
            return None
        value = (word & np.uint64(0x0F0F0F0F0F0F0F0F)) + np.uint64(9) * (
            (word >> np.uint64(6)) & np.uint64(0x0101010101010101)
        )
        # The first digit is the lowest byte and the most significant nibble: join neighbours from the left.
        value = ((value << np.uint64(4)) | (value >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
        value = ((value << np.uint64(8)) | (value >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
        value = ((value << np.uint64(16)) | (value >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
        result[begin // 2 : (begin + step) // 2] = (value[::2] << np.uint64(32)) | value[1::2]
    return result


_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)

_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)

_SHIFT_33 = np.uint64(33)


def hash_ids(image_ids: np.ndarray) -> np.ndarray:
    """Returns the 64-bit hash that orders images.

    Args:
        image_ids: uint64 array [n] of ImageIDs.

    Returns:
        uint64 array [n], `fmix64` of MurmurHash3 (a bijection).
    """
    mixed = image_ids ^ (image_ids >> _SHIFT_33)
    mixed = mixed * _MIX_1
    mixed ^= mixed >> _SHIFT_33
    mixed *= _MIX_2
    mixed ^= mixed >> _SHIFT_33
    return mixed


def format_id(image_id: int) -> str:
    """Returns an ImageID as Open Images writes it: 16 lower-case hex digits."""
    return f"{image_id:016x}"
