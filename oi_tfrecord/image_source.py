"""Where the bytes of an image come from: files named by a pattern."""

import dataclasses
import os

from oi_tfrecord import storage
from oi_tfrecord.images import ImageRejected
from oi_tfrecord.reasons import Reject


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

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of an image's file, None if there is none."""
        found = storage.match(storage.escape(self.path(image_id)))
        return found[0].size if found else None

    def read(self, image_id: str) -> bytes:
        """Returns the bytes of an image.

        Raises:
          ImageRejected: if there is no such file, or it is too large or cannot be read. Faults of
            remote storage are raised as they are, for the runner to retry.
        """
        path = self.path(image_id)
        if storage.is_local(path):
            return self._read_local(path)
        if not (found := storage.match(path)):
            raise ImageRejected(Reject.IMAGE_MISSING, path)
        if found[0].size > self.max_bytes:
            raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{path} has {found[0].size} bytes")
        return storage.read(path)

    def _read_local(self, path: str) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ImageRejected(Reject.IMAGE_MISSING, path) from None
        except OSError as error:
            raise ImageRejected(Reject.IMAGE_UNREADABLE, f"{path}: {error.strerror}") from None
        try:
            size = os.fstat(descriptor).st_size
            if size > self.max_bytes:
                raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{path} has {size} bytes")
            data = os.read(descriptor, size)
            while len(data) < size and (more := os.read(descriptor, size - len(data))):
                data += more
            return data
        except OSError as error:
            raise ImageRejected(Reject.IMAGE_UNREADABLE, f"{path}: {error.strerror}") from None
        finally:
            os.close(descriptor)
