"""Where the published files of each release are downloaded from: the table `configs/downloads.csv`.

The addresses are those of storage.googleapis.com/openimages/web/download_v7.html and its pages of earlier releases, and
of the READMEs of github.com/openimages/dataset. Sizes and checksums are given where they are known.
"""

import csv
import dataclasses
import fnmatch
import io
import posixpath
import re
import urllib.parse
from collections.abc import Sequence

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.release_headers import RELEASES

COLUMNS = ("releases", "split", "files", "url", "bytes", "md5", "sha256")
"""Columns of the table; `releases` is names or ranges (`v4-v7`), `files` is names below the data folder, both separated
by spaces; `split` is `all` for a file that every split needs."""

ARCHIVE_ENDING = ".tar.gz"

MASK_ARCHIVE_ENDING = ".zip"


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A file on a server.

    Attributes:
        url: its address.
        files: paths below the data folder of what is kept: the file itself, or members of the archive.
        size: in bytes; None if it is not known.
        md5: in hex; empty if it is not known.
        sha256: in hex; empty if it is not known.
    """

    url: str
    files: tuple[str, ...]
    size: int | None = None
    md5: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """The last part of its address."""
        return posixpath.basename(urllib.parse.urlsplit(self.url).path)

    @property
    def is_archive(self) -> bool:
        """Whether the files are members of an archive."""
        return self.name.endswith(ARCHIVE_ENDING)

    @property
    def is_mask_archive(self) -> bool:
        """Whether the file is one of the archives of the masks, which are read as they are."""
        return self.name.endswith(MASK_ARCHIVE_ENDING)

    def holds(self, name: str) -> bool:
        """Returns whether one of the files has a name, which may be a glob pattern."""
        return any(fnmatch.fnmatchcase(file, name) for file in self.files)

    def at_mirror(self, mirror: str) -> "PublishedFile":
        """Returns the file at the same path of another server.

        Args:
            mirror: scheme and host, such as `https://mirror.example.org`, and the folder there, if any.
        """
        path = re.sub(r"^https?://[^/]+", "", self.url)
        return dataclasses.replace(self, url=mirror.rstrip("/") + path)


def parse_published_files(data: bytes, path: str, release: str, split: str) -> list[PublishedFile]:
    """Returns the files of a split of a release, with its class files.

    Args:
        data: the table, a CSV with COLUMNS.
        path: name of the table, for errors.
        release: `v1` to `v7`, or another name that the table has.
        split: `train`, `validation` or `test`.

    Raises:
        InputError: naming the line that has another form.
    """
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig", "replace"), newline=""))
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
        raise InputError(path, f"it has no column {missing[0]}", f"Give the columns {', '.join(COLUMNS)}", 1)
    found = []
    for row in reader:
        if row["split"] in ("all", split) and release in _expand_releases(row["releases"]):
            found.append(_parse_row(row, path, reader.line_num, split))
    return found


def _parse_row(row: dict[str, str], path: str, line: int, split: str) -> PublishedFile:
    if not re.fullmatch(r"[0-9]*", row["bytes"]):
        raise InputError(path, f"bytes is {row['bytes']!r}", "Give a whole number, or nothing", line)
    if not re.match(r"https?://[^/]+/.", row["url"]):
        raise InputError(path, f"url is {row['url']!r}", "Give an address of http:// or https://", line)
    return PublishedFile(
        url=row["url"].replace("{split}", split),
        files=tuple(row["files"].replace("{split}", split).split()),
        size=int(row["bytes"]) if row["bytes"] else None,
        md5=row["md5"].lower(),
        sha256=row["sha256"].lower(),
    )


def _expand_releases(text: str) -> Sequence[str]:
    names: list[str] = []
    for word in text.split():
        first, _, last = word.partition("-")
        known = first in RELEASES and last in RELEASES
        names += RELEASES[RELEASES.index(first) : RELEASES.index(last) + 1] if known else [word]
    return names
