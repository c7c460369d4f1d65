"""One image by URL: its row of the metadata, and its way from cache, thumbnail or original to bytes."""

import dataclasses
import functools
import itertools
import posixpath
import urllib.parse
from collections.abc import Callable, Mapping, Sequence

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.metadata_rows import stream_metadata
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.sources.download_cache import ImageCache
from oi_tfrecord.sources.http_client import Fetcher
from oi_tfrecord.sources.http_policy import FetchRejected, checksum_fault, image_fault

ORIGINAL_URL = "OriginalURL"

THUMBNAIL_URL = "Thumbnail300KURL"

URL_COLUMNS = (ORIGINAL_URL, "OriginalSize", "OriginalMD5", THUMBNAIL_URL)

_SAMPLED_ROWS = 256


@dataclasses.dataclass(frozen=True, slots=True)
class ImageUrls:
    """What the metadata says of an image's files; a text is empty where the release has none.

    Attributes:
        original: OriginalURL.
        size: OriginalSize, bytes in decimal.
        md5: OriginalMD5, base64 of the binary MD5.
        thumbnail: Thumbnail300KURL.
    """

    original: str
    size: str = ""
    md5: str = ""
    thumbnail: str = ""

    @classmethod
    def of_fields(cls, fields: Mapping[str, str]) -> "ImageUrls":
        """Returns them from the columns of a row."""
        return cls(*(fields.get(name, "").strip() for name in URL_COLUMNS))

    def url(self, kind: UrlKind) -> str:
        """Returns the URL that is asked first."""
        return self.thumbnail if kind is UrlKind.THUMBNAIL and self.thumbnail else self.original


def base_name(url: str) -> str:
    """Returns the last part of a URL's path, without its query; empty if it has none that names a file."""
    name = posixpath.basename(urllib.parse.urlsplit(url).path)
    return "" if name in (".", "..") or "\\" in name or "\0" in name else name


def check_url_columns(files: Sequence[InputFile]) -> None:
    """Checks that there is metadata and that it names URLs.

    Raises:
        ConfigError: if there is none.
        InputError: naming the file that has no URLs.
    """
    if not files:
        raise ConfigError("metadata", "its file is not there, and the URLs of the images are in it")
    for file in files:
        if ORIGINAL_URL not in file.names:
            raise InputError(
                file.path, f"it has no column {ORIGINAL_URL}", "Take the file that lists the images with their URLs"
            )


def sample_image_urls(files: Sequence[InputFile]) -> list[ImageUrls]:
    """Returns the first rows of the metadata, to estimate from."""
    rows = itertools.chain.from_iterable(
        stream_metadata(file, [name for name in URL_COLUMNS if name in file.names]) for file in files
    )
    usable = (row for row in rows if row.reject is None)
    return [ImageUrls.of_fields(row.fields) for row in itertools.islice(usable, _SAMPLED_ROWS)]


def joined_image_urls(joined: JoinedShard) -> list[ImageUrls]:
    """Returns the URLs of each image of a shard."""
    columns = {name: joined.texts[name].to_pylist() for name in URL_COLUMNS if name in joined.texts}
    texts = {name: [value.decode("utf-8", "surrogateescape") for value in column] for name, column in columns.items()}
    return [
        ImageUrls.of_fields({name: column[index] for name, column in texts.items()})
        for index in range(len(joined.image_ids))
    ]


async def load_image(
    fetcher: Fetcher,
    cache: ImageCache | None,
    kind: UrlKind,
    image: ImageUrls,
    store: Callable[[bytes], None] = lambda data: None,
) -> bytes:
    """Gets an image from the cache or the network; runs in the fetcher's loop.

    Args:
        fetcher: the client.
        cache: where images are looked for first and kept, if anywhere.
        kind: which file; an image without thumbnail gives its original, scaled down to the same size.
        image: its URLs and checksum.
        store: takes the bytes, in a thread, before another download can take their place in memory.

    Returns:
        The bytes of an original, exactly those that the release lists; or those of a thumbnail, which
        have no checksum: they are made on the fly and may differ from day to day.

    Raises:
        FetchRejected, ImageRejected: with the reason, and the HTTP status in the detail.
    """

    def keep(key: str, data: bytes) -> str:
        if cache is not None:
            cache.put(key, data)
        store(data)
        return ""

    if kind is UrlKind.ORIGINAL:
        return await _original(fetcher, cache, image, store, functools.partial(keep, image.original))
    made = f"{THUMBNAIL_URL} made from {image.original}"

    def find() -> bytes | None:
        for key in filter(None, (image.thumbnail, made)):
            if cache is not None and (known := cache.get(key)) is not None:
                store(known)
                return known
        return None

    if (known := await fetcher.run(find)) is not None:
        return known
    if image.thumbnail:
        try:
            return await fetcher.get(
                image.thumbnail,
                lambda data: image_fault(data) or keep(image.thumbnail, data),
                mismatch=Reject.DOWNLOAD_FAILED,
            )
        except FetchRejected as rejected:
            # A server that does not answer is no reason to ask for a file ten times the size.
            if rejected.reason is not Reject.IMAGE_UNAVAILABLE:
                raise
    thumbnails = []

    def make(data: bytes) -> str:
        thumbnails.append(thumbnail_300k(data))
        return keep(made, thumbnails[-1])

    await _original(fetcher, cache, image, make, make)
    return thumbnails[-1]


async def _original(
    fetcher: Fetcher,
    cache: ImageCache | None,
    image: ImageUrls,
    use_known: Callable[[bytes], object],
    use_new: Callable[[bytes], str],
) -> bytes:
    if not image.original:
        raise FetchRejected(Reject.IMAGE_UNAVAILABLE, f"{ORIGINAL_URL} is empty", 0)

    def fault(data: bytes) -> str:
        # V1 has no checksums; then at least an error page or half a file is told apart.
        return checksum_fault(data, image.size, image.md5) or ("" if image.md5 else image_fault(data))

    def find() -> bytes | None:
        known = cache.get(image.original) if cache is not None else None
        if known is None or fault(known):
            return None
        use_known(known)
        return known

    if (known := await fetcher.run(find)) is not None:
        return known
    return await fetcher.get(
        image.original,
        lambda data: fault(data) or use_new(data),
        size=image.size,
        mismatch=Reject.CHECKSUM_MISMATCH if image.size or image.md5 else Reject.DOWNLOAD_FAILED,
    )


THUMBNAIL_PIXELS = 640 * 480
"""The "~300K pixels (~640x480)" of Thumbnail300KURL in the README of V3."""

_OPTIONS = ImageOptions(mode="resize", pixel_budget=THUMBNAIL_PIXELS, quality=90, chroma="4:2:0")


def thumbnail_300k(data: bytes) -> bytes:
    """Scales an image down to about 300 K pixels.

    Args:
        data: the file of the original.

    Returns:
        A JPEG of at most THUMBNAIL_PIXELS with the original's shape, the pixels where they were
        stored (boxes refer to them, so EXIF does not turn it). A plain JPEG that is no larger is returned
        as it is. The same bytes and Pillow build give the same result.

    Raises:
        ImageRejected: as `prepare` does.
    """
    return prepare(data, _OPTIONS).encoded
