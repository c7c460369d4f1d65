"""Protocol."""

from typing import Protocol

from oi_tfrecord.join.join_shard import JoinedShard


class ShardImages(Protocol):
    """The images of one shard; called from several threads."""

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index` of the shard.

        Raises:
            ImageRejected: if there is no such image, or it is too large or cannot be read.
        """

    def path(self, index: int) -> str:
        """Returns where the image at `index` is, for the rejects file."""

    def expect(self, index: int) -> bool:
        """Has the machine read the image at `index` ahead; returns whether it does, so that no thread need.

        By default nothing is read ahead.
        """
        return False


class ImageSource(Protocol):
    """A place where images are kept."""

    @property
    def is_remote(self) -> bool:
        """Whether reads wait for a network, so that many at once pay."""

    @property
    def texts(self) -> frozenset[str]:
        """Columns of the metadata that it needs."""

    def of_shard(self, joined: JoinedShard) -> ShardImages:
        """Returns the images of a shard."""

    def where(self, image_id: str) -> str:
        """Returns where an image, or what stands in for it, is looked for to measure."""

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of an image, None if it is not there or not known beforehand."""

    def sample(self, image_id: str) -> bytes:
        """Returns the bytes of an image outside of any shard, to measure; raises as `ShardImages.read`."""
