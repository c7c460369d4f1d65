"""What writing a shard needs to know of the place where images are kept."""

from typing import Protocol

from oi_tfrecord.join.join_shard import JoinedShard


class ImageReader(Protocol):
    """Reads the images of one shard; called from several threads."""

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index` of the shard.

        Raises:
            ImageRejected: if there is no such image, or it is too large or cannot be read.
        """

    def path(self, index: int) -> str:
        """Returns where the image at `index` is, for the list of rejects."""

    def expect(self, index: int) -> bool:
        """Starts to read the image at `index` ahead without a thread, where the system can; returns whether it can."""
        return False


class ImageSource(Protocol):
    """A place where images are kept; it is pickled for the workers."""

    @property
    def is_remote(self) -> bool:
        """Whether reads wait for a network, so that many at once are faster."""

    @property
    def text_columns(self) -> frozenset[str]:
        """Columns of the metadata without which the images are not found."""

    def open_shard(self, joined: JoinedShard) -> ImageReader:
        """Returns the reader of a shard's images; nothing is read before the first image."""
