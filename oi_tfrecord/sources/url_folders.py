"""Images in folders laid out by URL: `<first 3 characters of the base name>/<base name>`."""

import dataclasses
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.image_urls import (
    ORIGINAL_URL,
    THUMBNAIL_URL,
    ImageUrls,
    base_name,
    joined_image_urls,
)
from oi_tfrecord.sources.protocol import ImageReader

PREFIX = 3
"""Characters of the base name that name its folder."""


def url_file(url: str) -> str:
    """Returns the path of a URL's file within the folders, empty if the URL names no file."""
    name = base_name(url)
    return f"{name[:PREFIX]}/{name}" if name else ""


@dataclasses.dataclass(frozen=True)
class UrlFolders:
    """Images that a downloader stored under the base name of OriginalURL or Thumbnail300KURL.

    Attributes:
        folder: the folder that holds the folders, on any storage; may hold `{split}`.
        split: name for `{split}`.
        max_bytes: largest file that is read.
    """

    folder: str
    split: str
    max_bytes: int

    @property
    def is_remote(self) -> bool:
        """Whether the files are not on this machine."""
        return self.files.is_remote

    @property
    def text_columns(self) -> frozenset[str]:
        """The columns of URLs."""
        return frozenset((ORIGINAL_URL, THUMBNAIL_URL))

    def open_shard(self, joined: JoinedShard) -> "FolderReader":
        """Returns the reader of a shard's images."""
        return FolderReader(self, joined_image_urls(joined))

    def names(self, image: ImageUrls) -> list[str]:
        """Returns the paths within the folders at which an image may be, in the order in which it is looked for."""
        return list(dict.fromkeys(filter(None, (url_file(image.original), url_file(image.thumbnail)))))

    def path(self, image: ImageUrls) -> str:
        """Returns the path at which an image is looked for first."""
        names = self.names(image)
        return self.files.path(names[0]) if names else self.folder

    def read(self, image: ImageUrls) -> bytes:
        """Returns the bytes of an image.

        Raises:
            ImageRejected: if there is no such file, or it is too large or cannot be read.
        """
        return self.read_first(self.names(image))

    def read_first(self, names: Sequence[str]) -> bytes:
        """Returns the bytes of the first of these files that is there; raises as `read`."""
        missing = ImageRejected(Reject.IMAGE_MISSING, f"its URL names no file: {self.folder}")
        for name in names:
            try:
                return self.files.read(name)
            except ImageRejected as rejected:
                if rejected.reason is not Reject.IMAGE_MISSING:
                    raise
                missing = rejected if name is names[0] else missing
        raise missing

    @property
    def files(self) -> PatternSource:
        """The files within the folders, by their paths there."""
        return PatternSource(storage.join(self.folder, "{image_id}"), self.split, self.max_bytes)


@dataclasses.dataclass(frozen=True)
class FolderReader(ImageReader):
    """Reads the images of one shard from UrlFolders.

    Attributes:
        source: the folders.
        images: the URLs of each image of the shard.
    """

    source: UrlFolders
    images: list[ImageUrls]

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index`; raises as `UrlFolders.read`."""
        return self.source.read(self.images[index])

    def path(self, index: int) -> str:
        """Returns the path of the image at `index`."""
        return self.source.path(self.images[index])
