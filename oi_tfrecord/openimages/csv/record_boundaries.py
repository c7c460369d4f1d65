"""Cuts CSV files exactly at record boundaries, so that parts can be read in parallel.

Quotes have the meaning that Python's csv module gives them: a quote opens a quoted field
only at the start of a field; elsewhere in an unquoted field it is literal; two quotes inside
a quoted field are one; after a closing quote the rest of the field is unquoted. A record ends at a
line feed outside quotes (a carriage return alone ends nothing).

A block that starts right after a line feed starts either outside quotes, where a record
starts, or inside a quoted field. So a block is scanned once for both, in any order and
anywhere, and `resolve` composes the scans.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.line_boundaries import MAX_LINE_BYTES

_NEWLINE, _QUOTE, _COMMA = b'\n",'

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BlockScan:
    """How a block changes the quoting state; pairs are indexed by whether the block starts inside quotes.

    Attributes:
        start, end: the block's byte range in the file.
        ends_inside: whether the block ends inside quotes.
        first_record: file offset of the first record that starts in the block, or None.
    """

    start: int
    end: int
    ends_inside: tuple[bool, bool]
    first_record: tuple[int | None, int | None]


def scan_block(data: bytes, start: int = 0) -> BlockScan:
    """Scans a block for both states in which it may start.

    Args:
        data: the block's bytes; it starts right after a line feed or at the first row, and
            ends right after a line feed or at the end of the file.
        start: file offset of the block's first byte.
    """
    outside = start if data else None
    buffer = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(buffer == _QUOTE)
    if not len(quotes):
        return BlockScan(start, start + len(data), (False, True), (outside, None))
    toggles_outside = _toggles_from_outside(buffer, quotes)
    toggles = quotes[_toggle_mask(buffer, quotes, inside=True, reference=toggles_outside)]
    from_outside = bool(np.count_nonzero(toggles_outside) & 1)
    from_inside = not len(toggles) & 1
    first = _first_record_from_inside(data, toggles)
    inside = None if first is None else start + first
    return BlockScan(start, start + len(data), (from_outside, from_inside), (outside, inside))


def resolve(scans: Sequence[BlockScan], path: str) -> list[tuple[int, int]]:
    """Composes the scans of adjacent blocks to byte ranges of whole records.

    Args:
        scans: the scans of all blocks of a file, in file order; the first starts at the first row.
        path: the file, for error messages.

    Returns:
        `(start, end)` byte ranges that partition the blocks' bytes: each record is in the range
        of the block in which it starts, and a block in which none starts joins its predecessor.

    Raises:
        InputError: a record is longer than MAX_LINE_BYTES.
    """
    starts: list[int] = []
    inside = False
    carried = 0
    for scan in scans:
        first = scan.first_record[inside]
        carried += (scan.end if first is None else first) - scan.start
        if carried > MAX_LINE_BYTES:
            raise _unclosed(path, scan.start)
        if first is not None:
            starts.append(first)
            carried = 0
        inside = scan.ends_inside[inside]
    ends = [*starts[1:], scans[-1].end] if starts else []
    return list(zip(starts, ends, strict=True))


def record_starts(data: bytes) -> tuple[Positions, bool]:
    """Finds the records of data that begins at a record.

    Args:
        data: CSV bytes; the first byte starts a record.

    Returns:
        The offsets at which records start (blank lines count as records), ascending, and
        whether the last record ends inside quotes.
    """
    starts, _, inside = record_lines(data)
    return starts, inside


def record_lines(data: bytes) -> tuple[Positions, npt.NDArray[np.uint32], bool]:
    """Finds the records of data that begins at a record, and their lines.

    Args:
        data: CSV bytes; the first byte starts a record.

    Returns:
        The offsets as of `record_starts`, the line at which each record starts, from 0, and whether the last record
        ends inside quotes.
    """
    buffer = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(buffer == _NEWLINE)
    quotes = np.flatnonzero(buffer == _QUOTE)
    inside = False
    lines = np.arange(len(ends) + 1, dtype=np.uint32)
    if len(quotes):
        toggles = quotes[_toggles_from_outside(buffer, quotes)]
        is_end = np.searchsorted(toggles, ends) & 1 == 0
        ends, lines = ends[is_end], lines[np.append(True, is_end)]
        inside = bool(len(toggles) & 1)
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    count = np.searchsorted(starts, len(data))
    return starts[:count], lines[:count], inside


def check_closed(data: bytes, path: str, start: int = 0) -> None:
    """Checks that no quoted field that is never closed takes up the end of a file's records.

    Args:
        data: the last records of the file; the first byte starts a record.
        path: the file, for the error.
        start: file offset of the first byte.

    Raises:
        InputError: the last record is inside quotes and longer than MAX_LINE_BYTES. A shorter one is
            a row like any other, and malformed.
    """
    if len(data) > MAX_LINE_BYTES and b'"' in data:
        starts, inside = record_starts(data)
        if inside and len(data) - int(starts[-1]) > MAX_LINE_BYTES:
            raise _unclosed(path, start + int(starts[-1]))


def split_stream(chunks: Iterable[bytes], block_size: int, quoted: bool, path: str) -> Iterator[bytes]:
    """Cuts a stream that cannot be read from the middle into blocks of whole records.

    Args:
        chunks: the stream's bytes from the first row on, in pieces of any length.
        block_size: a block is given out as soon as this many bytes hold a whole record.
        quoted: whether fields may hold line breaks inside quotes; if not, every line is a record.
        path: the file, for error messages.

    Yields:
        The stream's bytes in order; each block starts at a record and holds whole records.

    Raises:
        InputError: a record is longer than block_size and MAX_LINE_BYTES.
    """
    pending: list[bytes] = []
    length = 0
    done = 0
    enough = block_size
    for chunk in chunks:
        pending.append(chunk)
        length += len(chunk)
        if length < enough:
            continue
        data = b"".join(pending)
        cut = _last_record_end(data, quoted)
        if cut:
            yield data[:cut]
            done += cut
        elif length > max(block_size, MAX_LINE_BYTES):
            raise _unclosed(path, done)
        # Without a cut the next look waits for twice the bytes, so that a long record is not scanned per chunk.
        enough = block_size if cut else 2 * length
        pending = [data[cut:]]
        length -= cut
    rest = b"".join(pending)
    if rest:
        yield rest


def _last_record_end(data: bytes, quoted: bool) -> int:
    """Returns the offset after the last whole record of data that begins at a record; 0 if it holds none."""
    lines = data[: data.rfind(b"\n") + 1]
    if not quoted or b'"' not in lines:
        return len(lines)
    starts, inside = record_starts(lines)
    return int(starts[-1]) if inside else len(lines)


def _unclosed(path: str, offset: int) -> InputError:
    problem = f"a record near byte {offset} is longer than {MAX_LINE_BYTES} bytes; a quoted field is not closed"
    return InputError(path, problem, "Close the quote in the record before that byte")


def _toggles_from_outside(buffer: npt.NDArray[np.uint8], quotes: Positions) -> npt.NDArray[np.bool_]:
    """Marks the quotes that open or close a quoted field (a doubled quote closes and opens again)."""
    opening = quotes[::2]
    before = buffer[opening - 1]
    # If every quote toggles, every other one opens; that holds when each of these may open. A quote
    # before it is one that closes, being the one before it in the list.
    allowed = (before == _COMMA) | (before == _NEWLINE) | (before == _QUOTE)
    allowed[0] |= opening[0] == 0
    if allowed.all():
        return np.ones(len(quotes), np.bool_)
    return _toggle_mask(buffer, quotes, inside=False, reference=None)


def _toggle_mask(
    buffer: npt.NDArray[np.uint8], quotes: Positions, inside: bool, reference: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_]:
    """Marks the quotes that toggle, by walking through them.

    Args:
        buffer: a block's bytes.
        quotes: positions of all its quotes.
        inside: whether the block starts inside quotes.
        reference: the marks for a start outside quotes. Where both walks are in the same state
            the rest is the same; in ordinary files that is so within a few fields.
    """
    mask = np.zeros(len(quotes), np.bool_)
    closed = -2
    begin, step = 0, 64
    while begin < len(quotes):
        stop = min(begin + step, len(quotes))
        before = buffer[quotes[begin:stop] - 1]
        may_open = (before == _COMMA) | (before == _NEWLINE) | (quotes[begin:stop] == 0)
        kept = []
        for position, opens in zip(quotes[begin:stop].tolist(), may_open.tolist(), strict=True):
            toggles = inside or opens or closed == position - 1
            if toggles:
                if inside:
                    closed = position
                inside = not inside
            kept.append(toggles)
        mask[begin:stop] = kept
        if reference is not None and inside == bool(np.count_nonzero(reference[:stop]) & 1):
            # Outside quotes the walks may still differ in whether the last quote closed a field,
            # which matters to a quote right after it.
            adjacent = stop < len(quotes) and quotes[stop] == quotes[stop - 1] + 1
            if inside or not adjacent:
                mask[stop:] = reference[stop:]
                return mask
        begin, step = stop, step * 2
    return mask


def _first_record_from_inside(data: bytes, toggles: Positions) -> int | None:
    """Returns the offset after the first line feed outside quotes of a block that starts inside quotes."""
    for index in range(0, len(toggles), 2):
        end = int(toggles[index + 1]) if index + 1 < len(toggles) else len(data)
        found = data.find(b"\n", int(toggles[index]), end)
        if found >= 0:
            return found + 1 if found + 1 < len(data) else None
    return None
