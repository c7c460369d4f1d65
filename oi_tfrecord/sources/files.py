"""Images in files named by a pattern."""

import contextlib
import dataclasses
import errno
import os
import pathlib
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.convert_config import CVDF
from oi_tfrecord.sources.download_cache import ImageCache
from oi_tfrecord.sources.protocol import ImageReader
from oi_tfrecord.storage.local import open_sized

_OF_MACHINE = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT}


CVDF_PATTERN = "s3://open-images-dataset/{split}/{image_id}.jpg"
"""Where the Common Visual Data Foundation has the images, readable without credentials (github.com/cvdfoundation/
open-images-dataset)."""


def expand_pattern(pattern: str, split: str, name: str) -> list[str]:
    """Returns the paths at which a file may be: folders named by a hex digit have it in lower or in upper case.

    Args:
        pattern: path that may hold `{split}` and `{digit}`, the first hex digit of the name.
        split: name for `{split}`.
        name: ImageID, or MaskPath, whose digit is that of its last part.
    """
    pattern = pattern.replace("{split}", split)
    if "{digit}" not in pattern:
        return [pattern]
    digit = name.rpartition("/")[2][:1]
    return [pattern.replace("{digit}", case) for case in dict.fromkeys((digit, digit.upper()))]


@dataclasses.dataclass(frozen=True)
class PatternSource:
    """Images in a file each, on any storage.

    Attributes:
        pattern: path with `{image_id}` and, where files are laid out by split or by digit, `{split}` or `{digit}`.
        split: name for `{split}`.
        max_bytes: largest file that is read.
        anonymous: whether an object store is asked without credentials.
        cache: local folder that keeps what comes from elsewhere; empty for none.
    """

    pattern: str
    split: str
    max_bytes: int
    anonymous: bool = False
    cache: str = ""

    def paths(self, image_id: str) -> list[str]:
        """Returns the paths at which an image's file may be, in the order in which they are tried."""
        return [path.replace("{image_id}", image_id) for path in expand_pattern(self.pattern, self.split, image_id)]

    def path(self, image_id: str) -> str:
        """Returns the path at which an image's file is looked for first."""
        return self.paths(image_id)[0]

    @property
    def is_remote(self) -> bool:
        """Whether the files are not on this machine."""
        return not storage.is_local(self.pattern)

    @property
    def text_columns(self) -> frozenset[str]:
        """Empty: the path holds the ImageID alone."""
        return frozenset()

    def open_shard(self, joined: JoinedShard) -> "PatternReader":
        """Returns the reader of a shard's images."""
        return PatternReader(self, joined.id_texts)

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of an image's file, None if there is none."""
        sizes = (storage.size(path, anonymous=self.anonymous) for path in self.paths(image_id))
        return next((size for size in sizes if size is not None), None)

    def read(self, image_id: str) -> bytes:
        """Returns the bytes of an image.

        Raises:
            ImageRejected: if there is no such file, or it is too large or cannot be read.
            OSError: if the machine fails, which is no fault of the image.
            StorageError: if remote storage fails.
        """
        return self.read_first(self.paths(image_id))

    def read_first(self, paths: Sequence[str]) -> bytes:
        """Returns the bytes of the first of these files that is there; raises as `read`."""
        for path in paths:
            try:
                return self.read_path(path)
            except ImageRejected as rejected:
                if rejected.reason is not Reject.IMAGE_MISSING:
                    raise
        raise ImageRejected(Reject.IMAGE_MISSING, paths[0])

    def read_path(self, path: str) -> bytes:
        """Returns the bytes of a file; raises as `read`."""
        if storage.is_local(path):
            return self._read_local(path)
        cache = ImageCache(pathlib.Path(self.cache)) if self.cache else None
        if cache is not None and (known := cache.get(path)) is not None:
            return known
        data = self._read_remote(path)
        if cache is not None:
            cache.put(path, data)
        return data

    def _read_remote(self, path: str) -> bytes:
        try:
            data = storage.read_range(path, 0, self.max_bytes + 1, anonymous=self.anonymous)
        except FileNotFoundError:
            raise ImageRejected(Reject.IMAGE_MISSING, path) from None
        if len(data) > self.max_bytes:
            raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{path} has more than {self.max_bytes} bytes")
        return data

    def _read_local(self, path: str) -> bytes:
        try:
            descriptor, size = open_sized(path)
        except FileNotFoundError:
            raise ImageRejected(Reject.IMAGE_MISSING, path) from None
        except OSError as error:
            raise _of_image(error, path) from None
        try:
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


def open_pattern(images: str, split: str, max_bytes: int, *, anonymous: bool, cache: str) -> PatternSource:
    """Returns the images of the option `images`.

    Args:
        images: a path pattern, or CVDF for the public bucket.
        split: name for `{split}`.
        max_bytes: largest file that is read.
        anonymous: whether an object store is asked without credentials.
        cache: local folder that keeps what comes from elsewhere; empty for none.
    """
    is_cvdf = images == CVDF
    pattern = CVDF_PATTERN if is_cvdf else images
    return PatternSource(pattern, split, max_bytes, anonymous=anonymous or is_cvdf, cache=cache)


def _read_ahead(path: str) -> bool:
    if not hasattr(os, "posix_fadvise"):
        return False
    # A file that cannot be opened is rejected when it is read.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)
    return True


def _of_image(error: OSError, path: str) -> Exception:
    """Returns the exception for a local read that fails: a rejection for a fault of the file, else an OSError."""
    if error.errno in _OF_MACHINE:
        # A fault of the machine may pass. If it rejected the image, another run would write other bytes.
        return OSError(error.errno, error.strerror, path)
    return ImageRejected(Reject.IMAGE_UNREADABLE, f"{path}: {error.strerror}")


@dataclasses.dataclass(frozen=True)
class PatternReader(ImageReader):
    """Reads the images of one shard from a PatternSource.

    Attributes:
        source: the files.
        image_ids: ImageIDs of the images.
    """

    source: PatternSource
    image_ids: Sequence[str]

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index`; raises as `PatternSource.read`."""
        return self.source.read(self.image_ids[index])

    def path(self, index: int) -> str:
        """Returns the path of the image at `index`."""
        return self.source.path(self.image_ids[index])

    def expect(self, index: int) -> bool:
        """Makes the system read the file at `index` ahead, if the file is local and the system can."""
        path = self.path(index)
        return storage.is_local(path) and _read_ahead(path)
