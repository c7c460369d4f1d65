"""Where the bytes of an image come from: the protocol, and files named by a pattern."""

import contextlib
import dataclasses
import errno
import os

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.protocol import ShardImages

_OF_MACHINE = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}


@dataclasses.dataclass(frozen=True)
class PatternSource:
    """Images stored one per file on any Beam filesystem.

    Attributes:
        pattern: path with `{image_id}` and, where files are laid out by split, `{split}`.
        split: name for `{split}`.
        max_bytes: size above which a file is not read.
    """

    pattern: str
    split: str
    max_bytes: int

    def path(self, image_id: str) -> str:
        """Returns the path of an image's file."""
        return self.pattern.replace("{split}", self.split).replace("{image_id}", image_id)

    @property
    def is_remote(self) -> bool:
        """Whether the files are not on this machine."""
        return not storage.is_local(self.pattern)

    @property
    def texts(self) -> frozenset[str]:
        """No column of the metadata is needed."""
        return frozenset()

    def of_shard(self, joined: JoinedShard) -> "PatternImages":
        """Returns the images of a shard."""
        return PatternImages(self, joined.image_ids)

    def where(self, image_id: str) -> str:
        """Returns the path of an image's file."""
        return self.path(image_id)

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of an image's file, None if there is none."""
        found = storage.match(storage.escape(self.path(image_id)))
        return found[0].size if found else None

    def sample(self, image_id: str) -> bytes:
        """Returns the bytes of an image; raises as `read`."""
        return self.read(image_id)

    def read(self, image_id: str) -> bytes:
        """Returns the bytes of an image.

        Raises:
            ImageRejected: if there is no such file, or it is too large or cannot be read.
            OSError: if the machine fails, which says nothing of the image.
            StorageError: if remote storage does.
        """
        return self.read_path(self.path(image_id))

    def read_path(self, path: str) -> bytes:
        """Returns the bytes of a file; raises as `read`."""
        if storage.is_local(path):
            return self._read_local(path)
        try:
            data = storage.read_range(path, 0, self.max_bytes + 1)
        except FileNotFoundError:
            raise ImageRejected(Reject.IMAGE_MISSING, path) from None
        if len(data) > self.max_bytes:
            raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{path} has more than {self.max_bytes} bytes")
        return data

    def _read_local(self, path: str) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ImageRejected(Reject.IMAGE_MISSING, path) from None
        except OSError as error:
            raise _of_image(error, path) from None
        try:
            size = os.fstat(descriptor).st_size
            if size > self.max_bytes:
                raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{path} has {size} bytes")
            data = os.read(descriptor, size)
            while len(data) < size and (more := os.read(descriptor, size - len(data))):
                data += more
            return data
        except OSError as error:
            raise _of_image(error, path) from None
        finally:
            os.close(descriptor)


def _read_ahead(path: str) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    # What cannot be read is told when it is.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    return True


def _of_image(error: OSError, path: str) -> Exception:
    """Returns what a failing local read is told as: a fault of this file, or one of the machine that may pass."""
    if error.errno in _OF_MACHINE:
        # Rejected, the image would be lost, and the same conversion would give other bytes another time.
        return OSError(error.errno, error.strerror, path)
    return ImageRejected(Reject.IMAGE_UNREADABLE, f"{path}: {error.strerror}")


@dataclasses.dataclass(frozen=True)
class PatternImages(ShardImages):
    """The images of one shard in a PatternSource."""

    source: PatternSource
    image_ids: np.ndarray

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index`; raises as `PatternSource.read`."""
        return self.source.read(format_id(int(self.image_ids[index])))

    def path(self, index: int) -> str:
        """Returns the path of the image at `index`."""
        return self.source.path(format_id(int(self.image_ids[index])))

    def expect(self, index: int) -> bool:
        """Has the system read the file at `index` ahead, if it is on this machine and the system can."""
        path = self.path(index)
        return storage.is_local(path) and _read_ahead(path)
