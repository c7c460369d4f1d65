"""Gets an image by URL: from the cache, or by a download of its thumbnail or original."""

import dataclasses
from collections.abc import Callable

from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.sources.download_cache import ImageCache
from oi_tfrecord.sources.http_client import Fetcher
from oi_tfrecord.sources.http_policy import FetchRejected, WrongBytes, checksum_fault, image_fault
from oi_tfrecord.sources.image_urls import ORIGINAL_URL, THUMBNAIL_URL, ImageUrls

THUMBNAIL_PIXELS = 640 * 480
"""The "~300K pixels (~640x480)" of Thumbnail300KURL in the README of V3."""

_OPTIONS = ImageOptions(mode="resize", pixel_budget=THUMBNAIL_PIXELS, quality=90, chroma="4:2:0")


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
        cache: the cache that is looked into first and keeps downloads; None for no cache.
        kind: which file; of an image without thumbnail, the original is scaled down to the same size.
        image: its URLs and checksum.
        store: called with the bytes in a thread, before another download can take their place in memory.

    Returns:
        The bytes of an original, exactly those that the release lists; or those of a thumbnail, which have no
        checksum: servers make thumbnails on request, and they may differ from day to day.

    Raises:
        FetchRejected: if the download failed, with the HTTP status in the detail.
        ImageRejected: if no thumbnail can be made from the original.
    """
    kept = _Keeper(cache, store)
    if kind is UrlKind.THUMBNAIL:
        return await _load_thumbnail(fetcher, kept, image)
    return await _load_original(fetcher, cache, image, kept.store_known, lambda data: kept.keep(image.original, data))


@dataclasses.dataclass(frozen=True)
class _Keeper:
    """Keeps the bytes of an image in the cache and where the caller stores them."""

    cache: ImageCache | None
    store: Callable[[bytes], None]

    def find(self, *keys: str) -> bytes | None:
        """Returns what the cache has under the first of these keys that is in use."""
        if self.cache is not None:
            for key in filter(None, keys):
                if (known := self.cache.get(key)) is not None:
                    return self.store_known(known)
        return None

    def store_known(self, data: bytes) -> bytes:
        self.store(data)
        return data

    def keep(self, key: str, data: bytes) -> bytes:
        if self.cache is not None:
            self.cache.put(key, data)
        return self.store_known(data)


async def _load_thumbnail(fetcher: Fetcher, kept: _Keeper, image: ImageUrls) -> bytes:
    made_key = f"{THUMBNAIL_URL} made from {image.original}"
    if (known := await fetcher.run(lambda: kept.find(image.thumbnail, made_key))) is not None:
        return known

    def accept(data: bytes) -> bytes:
        if fault := image_fault(data):
            raise WrongBytes(fault)
        return kept.keep(image.thumbnail, data)

    if image.thumbnail:
        try:
            return await fetcher.get(image.thumbnail, accept, mismatch=Reject.DOWNLOAD_FAILED)
        except FetchRejected as rejected:
            # A server that does not answer is no reason to request a file ten times the size.
            if rejected.reason is not Reject.IMAGE_UNAVAILABLE:
                raise

    def make(data: bytes) -> bytes:
        return kept.keep(made_key, thumbnail_300k(data))

    return await _load_original(fetcher, kept.cache, image, make, make)


async def _load_original(
    fetcher: Fetcher,
    cache: ImageCache | None,
    image: ImageUrls,
    use_known: Callable[[bytes], bytes],
    use_new: Callable[[bytes], bytes],
) -> bytes:
    """Gets an original that the release lists; returns what `use_known` or `use_new` makes of it in a thread."""
    if not image.original:
        raise FetchRejected(Reject.IMAGE_UNAVAILABLE, f"{ORIGINAL_URL} is empty", 0)

    def find_fault(data: bytes) -> str:
        # Without a checksum, as in V1, at least an error page or half a file is refused.
        return checksum_fault(data, image.size, image.md5) or ("" if image.md5 else image_fault(data))

    def find() -> bytes | None:
        known = cache.get(image.original) if cache is not None else None
        return None if known is None or find_fault(known) else use_known(known)

    def accept(data: bytes) -> bytes:
        if fault := find_fault(data):
            raise WrongBytes(fault)
        return use_new(data)

    if (used := await fetcher.run(find)) is not None:
        return used
    mismatch = Reject.CHECKSUM_MISMATCH if image.size or image.md5 else Reject.DOWNLOAD_FAILED
    return await fetcher.get(image.original, accept, size=image.size, mismatch=mismatch)


def thumbnail_300k(data: bytes) -> bytes:
    """Scales an image down to about 300 K pixels.

    Args:
        data: the file of the original.

    Returns:
        A JPEG of at most THUMBNAIL_PIXELS with the original's shape, the pixels where they were stored (boxes refer
        to them, so EXIF does not turn it). A plain JPEG that is no larger is returned unchanged. The same bytes and
        Pillow build give the same result.

    Raises:
        ImageRejected: as `prepare` does.
    """
    return prepare(data, _OPTIONS).encoded
