"""Lists of images or masks that a user wants to keep: files with an ImageID or a BoxID per line."""

import codecs
import dataclasses
import re

import numpy as np
import pyarrow as pa

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.row_faults import MAX_DETAIL
from oi_tfrecord.openimages.image_id import (
    HEX_ID,
    IdForm,
    check_same_names,
    describe_collision,
    format_id,
    id_key,
    id_keys,
    is_image_name,
)
from oi_tfrecord.openimages.schema import BOX_ID

_HEADER = re.compile(rb"(?i)image[_ ]?id")

_NAME_REMEDY = "Give a name of at most 255 bytes of UTF-8 per line, without control characters"

_REMEDIES = {
    IdForm.HEX: "Give 16 lower-case hex digits per line; for names of your own, give --image_id_format=any",
    IdForm.NAME: _NAME_REMEDY,
    IdForm.FILE_NAME: _NAME_REMEDY,
}


def is_in(image_ids: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Returns which of `image_ids` are in `listed`, a sorted array; both uint64."""
    if not len(listed):
        return np.zeros(len(image_ids), bool)
    places = np.minimum(np.searchsorted(listed, image_ids), len(listed) - 1)
    return listed[places] == image_ids


def parse_box_ids(data: bytes, path: str) -> frozenset[str]:
    """Parses a list of BoxIDs, one per line; a header line `BoxID` is skipped.

    Raises:
        InputError: if the file lists none.
    """
    lines = [line.strip().strip('"') for line in data.decode("utf-8-sig", "replace").splitlines()]
    box_ids = frozenset(line for line in lines if line and line != BOX_ID)
    if not box_ids:
        raise InputError(path, "the file lists no BoxID", "Give a BoxID per line")
    return box_ids


@dataclasses.dataclass(frozen=True)
class ImageIdList:
    """The ImageIDs that a file lists.

    Attributes:
        image_ids: sorted uint64 array of the keys of the ImageIDs, without repeats.
        other_splits: number of lines of other splits, which are left out.
        names: the ImageIDs in the order of their keys; None for published ones, which their keys hold.
    """

    image_ids: np.ndarray
    other_splits: int
    names: pa.BinaryArray | None = None

    def texts(self, count: int) -> list[str]:
        """Returns the first `count` ImageIDs."""
        if self.names is not None:
            return [name.decode() for name in self.names[:count].to_pylist()]
        return [format_id(key) for key in self.image_ids[:count].tolist()]

    def holds(self, name: bytes) -> bool:
        """Returns whether an ImageID is listed.

        Raises:
            InputError: if another ImageID of the same key is listed.
        """
        key = np.array([id_key(name)], np.uint64)
        if not is_in(key, self.image_ids)[0]:
            return False
        if self.names is not None:
            listed = self.names.take(pa.array(np.searchsorted(self.image_ids, key)))
            check_same_names("image_ids", listed, pa.array([name], pa.binary()))
        return True


def parse_image_ids(data: bytes, path: str, split: str, form: IdForm = IdForm.HEX) -> ImageIdList:
    """Parses a list of ImageIDs.

    Args:
        data: an ImageID per line, or a CSV with the ImageID first; a header line is skipped. `.jpg` may follow the
            ImageID, and the split may precede it (`train/0000000000000001`), as in the lists of the published
            downloader (downloader.py of github.com/openimages/dataset), or a path whose last folder is the split.
        path: the file, for the error.
        split: the split whose lines are kept.
        form: what the ImageIDs are.

    Raises:
        InputError: naming the first line that is no ImageID.
    """
    names: set[bytes] = set()
    other_splits = 0
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        text = _first_field(line)
        if not text or (number == 1 and _HEADER.fullmatch(text)):
            continue
        folders, slash, name = text.rpartition(b"/")
        of_split = folders.rpartition(b"/")[2].decode("utf-8", "replace")
        image_id = _without_ending(name, form)
        if not (HEX_ID.fullmatch(image_id) if form is IdForm.HEX else is_image_name(image_id)):
            given = text[:MAX_DETAIL].decode("utf-8", "replace")
            raise InputError(path, f"{given!r} is no ImageID", _REMEDIES[form], number)
        if slash and of_split.lower() != split.lower():
            other_splits += 1
        else:
            names.add(image_id)
    if form is IdForm.HEX:
        return ImageIdList(np.sort(id_keys(names)), other_splits)
    name_of: dict[int, str] = {}
    for name in names:
        if (other := name_of.setdefault(id_key(name), name.decode())) != name.decode():
            raise InputError(path, *describe_collision(other, name.decode()))
    keys = sorted(name_of)
    listed = pa.array([name_of[key].encode() for key in keys], pa.binary())
    return ImageIdList(np.array(keys, np.uint64), other_splits, listed)


def _without_ending(name: bytes, form: IdForm) -> bytes:
    """Returns a name without `.jpg`; in upper case, a name of a user's own may end so."""
    if form is IdForm.FILE_NAME:
        return name
    return name.removesuffix(b".jpg").removesuffix(b".JPG") if form is IdForm.HEX else name.removesuffix(b".jpg")


def _first_field(line: bytes) -> bytes:
    """Returns the first field of a line of CSV, without the blanks and quotes around it."""
    line = line.strip()
    if line.startswith(b'"'):
        return line[1:].split(b'"', 1)[0].strip()
    return line.split(b",", 1)[0].strip().strip(b'"')
