"""Images by URL: downloaded when a shard needs them, some ahead, each once."""

import concurrent.futures
import dataclasses
import pathlib
import threading

from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.download_cache import ImageCache, remove_stale
from oi_tfrecord.sources.download_options import DownloadOptions
from oi_tfrecord.sources.http_client import shared_fetcher
from oi_tfrecord.sources.http_policy import FetchSettings
from oi_tfrecord.sources.image_urls import URL_COLUMNS, joined_image_urls
from oi_tfrecord.sources.load_image import load_image
from oi_tfrecord.sources.protocol import ImageReader
from oi_tfrecord.storage.retry import RetryPolicy

AHEAD_BYTES = 64 << 20
"""Bound on the bytes of images of a shard that were downloaded and not read yet."""


@dataclasses.dataclass(frozen=True)
class UrlSource:
    """Images at the URLs of the metadata.

    Attributes:
        kind: which of an image's files.
        cache: local folder that keeps what was downloaded.
        settings: of the client, which all shards of a process share.
    """

    kind: UrlKind
    cache: str
    settings: FetchSettings

    @property
    def is_remote(self) -> bool:
        """Reads wait for a network."""
        return True

    @property
    def text_columns(self) -> frozenset[str]:
        """The columns of URLs and checksums."""
        return frozenset(URL_COLUMNS)

    def open_shard(self, joined: JoinedShard) -> "UrlReader":
        """Returns the reader of a shard's images; nothing is downloaded before the first is read."""
        return UrlReader(self, joined)


class UrlReader(ImageReader):
    """Downloads the images of one shard."""

    def __init__(self, source: UrlSource, joined: JoinedShard):
        """Downloads nothing yet.

        Args:
            source: which files, and the cache.
            joined: the shard.
        """
        self._source = source
        self._images = joined_image_urls(joined)
        self._cache = ImageCache(pathlib.Path(source.cache))
        remove_stale(self._cache.temporary)
        self._lock = threading.Lock()
        self._next = 0
        self._started: dict[int, concurrent.futures.Future[bytes]] = {}

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index`, and starts to download the images after it.

        Raises:
            ImageRejected: if the download fails.
        """
        with self._lock:
            if index not in self._started and index >= self._next:
                for skipped in range(self._next, index + 1):
                    self._started[skipped] = self._start(skipped)
                self._next = index + 1
            future = self._started.pop(index, None) or self._start(index)
            self._start_ahead(index)
        return future.result()

    def path(self, index: int) -> str:
        """Returns the URL of the image at `index`."""
        return self._images[index].url(self._source.kind)

    def _start_ahead(self, index: int) -> None:
        held = sum(
            len(future.result())
            for future in self._started.values()
            if future.done() and not future.cancelled() and future.exception() is None
        )
        limit = min(index + 1 + 2 * self._source.settings.connections, len(self._images))
        while self._next < limit and held < AHEAD_BYTES:
            self._started[self._next] = self._start(self._next)
            self._next += 1

    def _start(self, index: int) -> concurrent.futures.Future[bytes]:
        fetcher, image = shared_fetcher(self._source.settings), self._images[index]
        return fetcher.submit(lambda: load_image(fetcher, self._cache, self._source.kind, image))


def fetch_settings(config: ConvertConfig | DownloadOptions) -> FetchSettings:
    """Returns the settings of the client from the fields that both kinds of options have."""
    return FetchSettings(
        connections=config.fetch_connections,
        per_host=config.fetch_per_host,
        total_seconds=config.fetch_timeout,
        max_bytes=config.max_image_bytes,
        private_redirects=config.fetch_private_redirects,
        retry=RetryPolicy(attempts=config.fetch_attempts),
    )
