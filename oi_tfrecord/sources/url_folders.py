"""Images in folders laid out by URL: `<first 3 characters of the base name>/<base name>`."""

import dataclasses
import functools

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.protocol import ShardImages
from oi_tfrecord.sources.url_image import (
    ORIGINAL_URL,
    THUMBNAIL_URL,
    ImageUrls,
    base_name,
    joined_image_urls,
    sample_image_urls,
)

PREFIX = 3
"""Characters of the base name that name its folder."""


def url_file(url: str) -> str:
    """Returns the path of a URL's file within the folders, empty if the URL names no file."""
    name = base_name(url)
    return f"{name[:PREFIX]}/{name}" if name else ""


@dataclasses.dataclass(frozen=True)
class UrlFolders:
    """Images that a downloader stored under the base name of OriginalURL, or of Thumbnail300KURL.

    Attributes:
        folder: the folder of the folders, on any Beam filesystem; may hold `{split}`.
        split: name for `{split}`.
        max_bytes: size above which a file is not read.
        metadata: the metadata files, to estimate sizes from.
    """

    folder: str
    split: str
    max_bytes: int
    metadata: tuple[InputFile, ...]

    @property
    def is_remote(self) -> bool:
        """Whether the files are not on this machine."""
        return self._files.is_remote

    @property
    def texts(self) -> frozenset[str]:
        """The columns of URLs."""
        return frozenset((ORIGINAL_URL, THUMBNAIL_URL))

    def of_shard(self, joined: JoinedShard) -> "FolderImages":
        """Returns the images of a shard."""
        return FolderImages(self, joined_image_urls(joined))

    def where(self, image_id: str) -> str:
        """Returns the path at which the stand-in of `size` is looked for first."""
        return self._files.path(next(iter(self._stand_in(image_id)), ""))

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of a stand-in from the first images of the metadata: a URL is known only in a shard."""
        return next((size for name in self._stand_in(image_id) if (size := self._files.size(name)) is not None), None)

    def sample(self, image_id: str) -> bytes:
        """Returns the stand-in of `size`; raises as `read`."""
        return self._read_first(self._stand_in(image_id))

    def names(self, image: ImageUrls) -> list[str]:
        """Returns where an image may be within the folders, in the order in which it is looked for."""
        return list(dict.fromkeys(filter(None, (url_file(image.original), url_file(image.thumbnail)))))

    def path(self, image: ImageUrls) -> str:
        """Returns the path at which an image is looked for first."""
        names = self.names(image)
        return self._files.path(names[0]) if names else self.folder

    def read(self, image: ImageUrls) -> bytes:
        """Returns the bytes of an image.

        Raises:
            ImageRejected: if there is no such file, or it is too large or cannot be read.
        """
        return self._read_first(self.names(image))

    def _read_first(self, names: list[str]) -> bytes:
        missing = ImageRejected(Reject.IMAGE_MISSING, f"its URL names no file: {self.folder}")
        for name in names:
            try:
                return self._files.read(name)
            except ImageRejected as rejected:
                if rejected.reason is not Reject.IMAGE_MISSING:
                    raise
                missing = rejected if name is names[0] else missing
        raise missing

    def _stand_in(self, image_id: str) -> list[str]:
        return self.names(self._sampled[int(image_id, 16) % len(self._sampled)]) if self._sampled else []

    @property
    def _files(self) -> PatternSource:
        return PatternSource(storage.join(self.folder, "{image_id}"), self.split, self.max_bytes)

    @functools.cached_property
    def _sampled(self) -> list[ImageUrls]:
        return sample_image_urls(self.metadata)


@dataclasses.dataclass(frozen=True)
class FolderImages(ShardImages):
    """The images of one shard in UrlFolders."""

    source: UrlFolders
    images: list[ImageUrls]

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index`; raises as `UrlFolders.read`."""
        return self.source.read(self.images[index])

    def path(self, index: int) -> str:
        """Returns the path of the image at `index`."""
        return self.source.path(self.images[index])
