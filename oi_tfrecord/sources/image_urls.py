"""The URLs of images in the metadata."""

import dataclasses
import itertools
import posixpath
import urllib.parse
from collections.abc import Mapping, Sequence

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.metadata_rows import stream_metadata
from oi_tfrecord.openimages.csv.row_faults import is_number
from oi_tfrecord.settings.allowed_values import UrlKind

ORIGINAL_URL = "OriginalURL"

THUMBNAIL_URL = "Thumbnail300KURL"

URL_COLUMNS = (ORIGINAL_URL, "OriginalSize", "OriginalMD5", THUMBNAIL_URL)

_SAMPLED_ROWS = 256


@dataclasses.dataclass(frozen=True, slots=True)
class ImageUrls:
    """The URLs, size and checksum of an image in the metadata; a text is empty if the release has none.

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
        """Returns the texts from the columns of a row."""
        original, size, md5, thumbnail = (fields.get(name, "").strip() for name in URL_COLUMNS)
        return cls(original, _format_size(size), md5, thumbnail)

    def url(self, kind: UrlKind) -> str:
        """Returns the URL that is requested first."""
        return self.thumbnail if kind is UrlKind.THUMBNAIL and self.thumbnail else self.original


def _format_size(text: str) -> str:
    """Returns OriginalSize in plain digits: pandas writes 19072.0, and R 1e+05; other texts stay as they are."""
    encoded = text.encode("utf-8", "surrogateescape")
    if not is_number(encoded) or not float(encoded).is_integer():
        return text
    return str(int(float(encoded)))


def base_name(url: str) -> str:
    """Returns the last part of a URL's path, without its query; empty if that does not name a file."""
    name = posixpath.basename(urllib.parse.urlsplit(url).path)
    return "" if name in (".", "..") or "\\" in name or "\0" in name else name


def check_url_columns(files: Sequence[InputFile]) -> None:
    """Checks that there is metadata with URLs.

    Args:
        files: the metadata files.

    Raises:
        ConfigError: if there is no file.
        InputError: naming the file without URLs.
    """
    if not files:
        raise ConfigError("metadata", "its file is not there, and the URLs of the images are in it")
    for file in files:
        if ORIGINAL_URL not in file.names:
            raise InputError(
                file.path, f"it has no column {ORIGINAL_URL}", "Take the file that lists the images with their URLs"
            )


def sample_image_urls(files: Sequence[InputFile]) -> list[ImageUrls]:
    """Returns the URLs in the first rows of the metadata, to estimate from."""
    rows = itertools.chain.from_iterable(
        stream_metadata(file, [name for name in URL_COLUMNS if name in file.names]) for file in files
    )
    usable = (row for row in rows if row.reject is None)
    return [ImageUrls.of_fields(row.fields) for row in itertools.islice(usable, _SAMPLED_ROWS)]


def joined_image_urls(joined: JoinedShard) -> list[ImageUrls]:
    """Returns the URLs of each image of a shard."""
    columns = {name: joined.text_columns[name].to_pylist() for name in URL_COLUMNS if name in joined.text_columns}
    texts = {name: [value.decode("utf-8", "surrogateescape") for value in column] for name, column in columns.items()}
    return [
        ImageUrls.of_fields({name: column[index] for name, column in texts.items()})
        for index in range(len(joined.image_ids))
    ]
