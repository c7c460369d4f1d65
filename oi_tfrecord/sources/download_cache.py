"""A cache of downloads on local disk, addressed by content, which several processes may use at once.

Layout: `urls/<3 hex>/<SHA-256 of the key>` holds the SHA-256 of the content and its size, and
`contents/<3 hex>/<SHA-256 of the content>` the content, so that equal files are kept once. Files appear whole, by
rename, and the content before the file that names it, so that a process that is killed leaves a cache that is good.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import time

from oi_tfrecord import storage

_STALE_SECONDS = 86_400


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """The cache in a local folder, which is made for the first content."""

    folder: pathlib.Path

    def get(self, key: str) -> bytes | None:
        """Returns the content under a key, None if there is none or it is damaged.

        Args:
            key: a URL, or another text that names the content.
        """
        try:
            digest, size = self._named(key).read_text(encoding="ascii").split()
            data, length = self._content(digest).read_bytes(), int(size)
        except (OSError, ValueError):
            return None
        # A disk that was full or lost power may have kept the name and lost the bytes.
        whole = len(data) == length and hashlib.sha256(data).hexdigest() == digest
        return data if whole else None

    def put(self, key: str, data: bytes) -> None:
        """Keeps content under a key, in place of earlier content."""
        digest = hashlib.sha256(data).hexdigest()
        content = self._content(digest)
        try:
            kept = content.stat().st_size == len(data) and hashlib.sha256(content.read_bytes()).hexdigest() == digest
        except FileNotFoundError:
            kept = False
        if not kept:
            write_file(content, data, self.temporary)
        write_file(self._named(key), f"{digest} {len(data)}\n".encode(), self.temporary)

    @property
    def temporary(self) -> pathlib.Path:
        """Folder of files that are being written."""
        return self.folder / "temporary"

    def _named(self, key: str) -> pathlib.Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / "urls" / name[:3] / name

    def _content(self, digest: str) -> pathlib.Path:
        return self.folder / "contents" / digest[:3] / digest


def remove_stale(temporary_folder: pathlib.Path, now: float | None = None) -> None:
    """Deletes half written files of processes that were killed a day ago or longer.

    Args:
        temporary_folder: as of `write_file`; it need not be there.
        now: seconds since the epoch; None for the present.
    """
    now = time.time() if now is None else now
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(temporary_folder):
            with contextlib.suppress(FileNotFoundError):
                if now - entry.stat().st_mtime > _STALE_SECONDS:
                    os.unlink(entry.path)


def write_file(path: pathlib.Path, data: bytes, temporary_folder: pathlib.Path) -> None:
    """Writes a local file as `storage.write` does, and makes the folders that are missing."""
    try:
        storage.write(str(path), data, str(temporary_folder))
    except FileNotFoundError:
        # Folders are almost always there, so looking for them first would cost more.
        temporary_folder.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.write(str(path), data, str(temporary_folder))
