"""ImageIDs: published ones, which are numbers in hex digits, and names of people's own; the key of both in the join.

The join works on a uint64 for each image. The key of a published ImageID is its value; the key of any other name is a
hash of the name, so names are kept beside the keys, and two names of one key are an error.
"""

import enum
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oi_tfrecord.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_NAME_BYTES = 255
"""Longest name of an image: that of a file on the usual file systems."""

HEX_ID = re.compile(rb"[0-9a-f]{16}")
"""A published ImageID."""

IMAGE_ID = "ImageID"
"""Column of the ImageIDs; text kept beside the rows where ImageIDs are names."""

AUTO_FORMAT = "auto"

HEX_FORMAT = "hex"

ANY_FORMAT = "any"

ID_FORMATS = (AUTO_FORMAT, HEX_FORMAT, ANY_FORMAT)
"""Values of the option `image_id_format`."""

_ENDING = re.compile(rb"\.(?i:jpe?g|png|gif|webp|bmp)")


class IdForm(enum.StrEnum):
    """What the ImageIDs of tables are.

    Members:
        HEX: published ImageIDs, 16 lower-case hex digits.
        NAME: any names.
        FILE_NAME: any names, which end like the name of an image file (`photo.jpg`) where the files do.
    """

    HEX = "hex"
    NAME = "name"
    FILE_NAME = "file_name"


def is_image_name(name: bytes) -> bool:
    """Returns whether bytes are the name of an image: UTF-8, 1 to 255 bytes, no `/` and no control character.

    `.` and `..` are no names, as a path that holds one would lead to another folder.
    """
    if not 0 < len(name) <= MAX_NAME_BYTES or b"/" in name or name in (b".", b".."):
        return False
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() or not any(unicodedata.category(character) == "Cc" for character in text)


def id_key(name: bytes) -> int:
    """Returns the 64 bits that stand for an ImageID: the value of a published ImageID, a hash of any other name."""
    if HEX_ID.fullmatch(name):
        return int(name, 16)
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def describe_collision(first: str, second: str) -> tuple[str, str]:
    """Returns problem and remedy of two ImageIDs with the same key."""
    problem = f"the ImageIDs {first!r} and {second!r} have the same 64-bit hash, by which tables are joined"
    return problem, "Rename one of the two images, in all tables"


def check_same_names(where: str, names: "pa.BinaryArray", others: "pa.BinaryArray") -> None:
    """Checks that ImageIDs with the same keys are the same.

    Args:
        where: the tables or the list, for the error.
        names: ImageIDs [n].
        others: ImageIDs [n] with the keys of `names`.

    Raises:
        InputError: naming the first two that differ.
    """
    import pyarrow.compute as pc

    for place in np.flatnonzero(pc.not_equal(names, others).to_numpy(zero_copy_only=False))[:1].tolist():
        first, second = (column[place].as_py().decode() for column in (names, others))
        raise InputError(where, *describe_collision(first, second))


def id_keys(names: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Returns the keys (`id_key`) of ImageIDs, uint64 array [n]."""
    return np.array([id_key(name) for name in names], np.uint64)


def id_texts(keys: npt.NDArray[np.uint64], text_columns: "Mapping[str, pa.Array]") -> list[str]:
    """Returns ImageIDs as text.

    Args:
        keys: uint64 array [n], the keys of the ImageIDs.
        text_columns: text columns [n] beside them; the names are among these unless the ImageIDs are published ones.
    """
    if IMAGE_ID in text_columns:
        return [name.decode("utf-8", "replace") for name in text_columns[IMAGE_ID].to_pylist()]
    return [format_id(key) for key in keys.tolist()]


def id_text(key: int, text_columns: "Mapping[str, pa.Array]", index: int) -> str:
    """Returns the ImageID of one row as text; `text_columns` are those of all rows, as `id_texts` takes them."""
    if IMAGE_ID in text_columns:
        return str(text_columns[IMAGE_ID][index].as_py().decode("utf-8", "replace"))
    return format_id(key)


def name_of_file(file_name: str, form: IdForm) -> bytes | None:
    """Returns the ImageID of the image in a file, by the file's name; None if that is not the name of an image file.

    Args:
        file_name: name of the file without folders; bytes that are not UTF-8 are surrogates.
        form: what the ImageIDs are; those of FILE_NAME keep the ending of the file.
    """
    name = file_name.encode("utf-8", "surrogateescape")
    stem, dot, ending = name.rpartition(b".")
    if not _ENDING.fullmatch(dot + ending):
        return None
    if form is IdForm.HEX:
        return stem if HEX_ID.fullmatch(stem) else None
    whole = name if form is IdForm.FILE_NAME else stem
    return whole if is_image_name(whole) else None


def choose_form(names: Iterable[bytes]) -> IdForm:
    """Returns the form that ImageIDs of a table have.

    Args:
        names: some ImageIDs, as the table has them.

    Returns:
        HEX if at least half of them are published ImageIDs, so that single bad values turn no published table into
        one of names; and if there are none.
    """
    distinct = set(names)
    if 2 * sum(HEX_ID.fullmatch(name) is not None for name in distinct) >= len(distinct):
        return IdForm.HEX
    return choose_name_form(distinct)


def choose_name_form(names: Iterable[bytes]) -> IdForm:
    """Returns FILE_NAME if most of the names end like the name of an image file, else NAME."""
    distinct = set(names)
    with_ending = sum(_ENDING.search(name[-5:]) is not None for name in distinct if b"." in name[-5:])
    return IdForm.FILE_NAME if 2 * with_ending > len(distinct) else IdForm.NAME


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
