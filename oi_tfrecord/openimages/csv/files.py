"""Finds the CSV and class files of a split and looks at their headers."""

import contextlib
import dataclasses
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

import google_crc32c

from oi_tfrecord import storage
from oi_tfrecord.errors import InputError, NotFoundError
from oi_tfrecord.openimages.csv.header import check_columns, read_header, use_known_names
from oi_tfrecord.openimages.image_id import IdForm
from oi_tfrecord.openimages.schema import REQUIRED_COLUMNS, Table
from oi_tfrecord.storage.bz2_streams import Bz2Streams
from oi_tfrecord.storage.paths import FileInfo

_COMPRESSED_ENDINGS = (".gz", ".bz2")

SPLITS = ("train", "validation", "test")

_SHORT_SPLITS = {"validation": "val"}

_HEADER_BYTES = 1 << 16

_CHUNK_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class InputFile:
    """A CSV file of a table.

    Attributes:
        table: the table.
        number: place of the file among those of the table, from 0.
        path: path or URL of the file.
        size: bytes as stored.
        modified: seconds since the epoch.
        names: column names in file order.
        rows_start: byte of the decompressed file at which rows start.
        header_lines: lines before the first row.
        header_crc32c: CRC-32C of the bytes before the first row.
        id_form: what its ImageIDs are.
    """

    table: Table
    number: int
    path: str
    size: int
    modified: float
    names: tuple[str, ...]
    rows_start: int
    header_lines: int
    header_crc32c: int = 0
    id_form: IdForm = IdForm.HEX

    @property
    def compressed(self) -> bool:
        """Whether the file can only be read from its start."""
        return self.path.endswith(_COMPRESSED_ENDINGS)


def expand_split(name: str, split: str) -> str:
    """Returns a name with the split in place of `{split}` and `{short_split}`."""
    return name.replace("{split}", split).replace("{short_split}", _SHORT_SPLITS.get(split, split))


def split_hint(split: str) -> str:
    """Returns ` (did you mean --split=...?)` for another way to write a split, or an empty string."""
    meant = next((known for known in SPLITS if known != split and _is_meant(split.lower(), known)), "")
    return f" (did you mean --split={meant}?)" if meant else ""


def _is_meant(split: str, known: str) -> bool:
    shares_start = known.startswith(split) or split.startswith(known)
    misspelt = sorted(split) == sorted(known)
    return (len(split) > 2 and shares_start) or misspelt or (split == "dev" and known == "validation")


def find(names: Sequence[str], data_dir: str, split: str, flag: str) -> list[FileInfo]:
    """Returns the files of the first of `names` that matches any.

    Args:
        names: glob patterns relative to `data_dir`, with `{split}` or `{short_split}` (`val` for validation, as V7
            has it).
        data_dir: folder of the data.
        split: name for `{split}`.
        flag: name of the flag that names the file, for the error.

    Raises:
        NotFoundError: if none matches; it lists what was tried.
        InputError: if a name is that of a pipe, folder or the like, and no file before it matches.
    """
    tried = []
    for name in names:
        name = expand_split(name, split)
        tried.append(storage.join(data_dir, name))
        pattern = storage.join(storage.escape(data_dir), name)
        if found := storage.match_first(pattern, ("", *_COMPRESSED_ENDINGS)):
            return found
        for path in (tried[-1] + ending for ending in ("", *_COMPRESSED_ENDINGS)):
            # Without the error, another file would be read in its place, or the table would be missing.
            if kind := storage.find_other_kind(path):
                raise InputError(path, f"is {kind}, not a file", "Put the file there, or remove what has its name")
    remedy = f"Check --data_dir and --split{split_hint(split)}, or name the file with --{flag}"
    raise NotFoundError(data_dir, f"no file for {flag}; looked for {', '.join(tried)} (plain, .gz, .bz2)", remedy)


def is_there(names: Sequence[str], data_dir: str, split: str) -> bool:
    """Returns whether any of `names` matches a file; see `find`."""
    try:
        find(names, data_dir, split, "")
    except NotFoundError:
        return False
    return True


def open_table(table: Table, names: Sequence[str], data_dir: str, split: str) -> list[InputFile]:
    """Finds the files of a table and checks that they have its columns.

    Raises:
        NotFoundError: if there is none.
        InputError: if one cannot be read as this table.
    """
    files = []
    for number, info in enumerate(find(names, data_dir, split, str(table))):
        with open_decompressed(info.path) as stream:
            data = read_some(stream, info.path)
            header = read_header(data, info.path)
        check_columns(header, REQUIRED_COLUMNS[table], info.path)
        names = use_known_names(header.names) if table is Table.BOXES else header.names
        files.append(
            InputFile(
                table=table,
                number=number,
                path=info.path,
                size=info.size,
                modified=info.modified,
                names=names,
                rows_start=header.rows_start,
                header_lines=header.line_count,
                header_crc32c=google_crc32c.value(data[: header.rows_start]),
            )
        )
    return files


@contextlib.contextmanager
def open_decompressed(path: str) -> Iterator[BinaryIO]:
    """Opens a file for reading its bytes, decompressed if its name ends in .gz or .bz2."""
    with storage.open_read(path) as stored:
        if path.endswith(".gz"):
            with gzip.GzipFile(fileobj=stored, mode="rb") as stream:
                yield cast(BinaryIO, stream)
        elif path.endswith(".bz2"):
            with io.BufferedReader(Bz2Streams(stored), _HEADER_BYTES) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            yield stored


def read_whole(path: str) -> bytes:
    """Returns the bytes of a small file, decompressed if its name ends in .gz or .bz2.

    Raises:
        InputError: if the file is compressed and damaged or cut off.
    """
    with open_decompressed(path) as stream:
        return read_some(stream, path, -1)


def read_rows(file: InputFile, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[bytes]:
    """Yields the bytes of a file from its first row on, in chunks of at most `chunk_bytes`.

    Raises:
        InputError: if the file is compressed and damaged or cut off.
    """
    skip = file.rows_start
    with open_decompressed(file.path) as stream:
        while chunk := read_some(stream, file.path, min(chunk_bytes, _CHUNK_BYTES)):
            yield chunk[skip:] if skip else chunk
            skip = max(skip - len(chunk), 0)


def read_some(stream: BinaryIO, path: str, size: int = _HEADER_BYTES) -> bytes:
    """Returns the next bytes of a stream of `open_decompressed`, -1 for all.

    Raises:
        InputError: if the file is compressed and damaged or cut off.
    """
    try:
        return stream.read(size)
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(path, f"cannot be read: {error}", "Download it again, and check its size") from error
