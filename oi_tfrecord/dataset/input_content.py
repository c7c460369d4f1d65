"""What tables held when a run read them: a copy, or a file that was downloaded again, is the same table.

The CRC-32C of each range that was read is in the accounts, in the manifest of a finished split, and in the work folder
of an unfinished one from the time on at which the first shard is written.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import google_crc32c

from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.openimages.csv.files import open_decompressed, read_some

_CHUNK_BYTES = 4 << 20


class RangeContent(NamedTuple):
    """A range of a table's bytes, decompressed, and their CRC-32C."""

    start: int
    end: int
    crc32c: int


Contents = Mapping[tuple[str, int], Sequence[RangeContent]]
"""(table, file number) to the ranges that were read of the file, in file order."""


def contents_of_ranges(ranges: Iterable[RangeAccount]) -> Contents:
    """Returns what the ranges of a run held."""
    found: defaultdict[tuple[str, int], list[RangeContent]] = defaultdict(list)
    for account in ranges:
        found[account.table, account.file].append(RangeContent(account.start, account.end, account.crc32c))
    return {key: sorted(contents) for key, contents in found.items()}


def contents_of_split(split: Mapping[str, Any]) -> Contents:
    """Returns what the inputs of a finished split held, by its manifest."""
    found: dict[tuple[str, int], list[RangeContent]] = {}
    for table, items in itertools.groupby(split["inputs"], key=lambda item: item["table"]):
        for number, item in enumerate(items):
            coverage = item.get("coverage", {"starts_of_ranges": (), "ends_of_ranges": ()})
            crcs = [int(crc, 16) for crc in item["crc32c_of_ranges"]]
            ranges = zip(coverage["starts_of_ranges"], coverage["ends_of_ranges"], crcs, strict=False)
            found[table, number] = [RangeContent(*item) for item in ranges]
    return found


def encode_contents(contents: Contents) -> bytes:
    """Returns contents as JSON."""
    return json.dumps([[*key, ranges] for key, ranges in sorted(contents.items())]).encode()


def decode_contents(data: bytes) -> Contents:
    """Returns the contents that `encode_contents` encoded."""
    return {(table, number): [RangeContent(*item) for item in ranges] for table, number, ranges in json.loads(data)}


def have_changed(earlier: Contents, now: Contents) -> bool:
    """Returns whether a range that was read twice held other bytes the second time."""
    crcs = {(key, part.start, part.end): part.crc32c for key, parts in earlier.items() for part in parts}
    again = {(key, part.start, part.end): part.crc32c for key, parts in now.items() for part in parts}
    return any(crcs[place] != again[place] for place in crcs.keys() & again.keys())


def has_content(path: str, header: RangeContent, ranges: Sequence[RangeContent]) -> bool:
    """Returns whether a table still holds what was read, for which the whole file is read.

    Args:
        path: path of the file.
        header: the bytes before the first row.
        ranges: the ranges of its rows, in file order.

    Raises:
        InputError: if the file is compressed and damaged or cut off.
    """
    parts = [header, *ranges]
    if any(part.end != following.start for part, following in itertools.pairwise(parts)):
        return False
    found = list(_find_crcs(_read(path), [part.end - part.start for part in parts]))
    # Nothing may follow the last range.
    return found == [*(part.crc32c for part in parts), 0]


def _read(path: str) -> Iterator[bytes]:
    with open_decompressed(path) as stream:
        while chunk := read_some(stream, path, _CHUNK_BYTES):
            yield chunk


def _find_crcs(chunks: Iterator[bytes], lengths: Sequence[int]) -> Iterator[int]:
    """Yields the CRC-32C of consecutive parts, and last that of the first chunk that follows, 0 for none."""
    rest = b""
    for length in lengths:
        crc = 0
        while length and (rest := rest or next(chunks, b"")):
            crc = google_crc32c.extend(crc, rest[:length])
            taken = min(length, len(rest))
            rest, length = rest[taken:], length - taken
        yield crc
    yield google_crc32c.value(rest or next(chunks, b""))
