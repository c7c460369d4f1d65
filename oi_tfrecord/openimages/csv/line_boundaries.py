"""Moves byte ranges of a file to whole lines, so that adjacent ranges still partition the file."""

from collections.abc import Callable

from oi_tfrecord.errors import InputError

MAX_LINE_BYTES = 1 << 20
"""A longer line or record is damage: no Open Images file has one nearly as long."""

_READ_BYTES = 1 << 16


def align_to_line(read: Callable[[int, int], bytes], size: int, offset: int, path: str) -> int:
    """Returns the start of the first line at or after a byte offset.

    Args:
        read: `read(offset, length)` gives the file's bytes there, short only at its end.
        size: the file's length in bytes.
        offset: a byte offset, 0 to size; 0 is the start of a line.
        path: the file, for error messages.

    Raises:
        InputError: no line ends within MAX_LINE_BYTES.
    """
    if offset <= 0 or offset >= size:
        return min(max(offset, 0), size)
    # The search starts one byte early: an offset right after a line feed is a line's start itself.
    at = offset - 1
    while at < size:
        if at - offset >= MAX_LINE_BYTES:
            problem = f"no line ends within {MAX_LINE_BYTES} bytes after byte {offset}"
            raise InputError(path, problem, "Check that it is a CSV file whose lines end in LF or CRLF")
        block = read(at, min(_READ_BYTES, size - at))
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not block:
            raise InputError(path, f"the file ends at byte {at}, not {size}", "Run again when it is complete")
        at += len(block)
    return size


def line_range(
    read: Callable[[int, int], bytes], size: int, start: int, end: int, path: str, rows_start: int = 0
) -> tuple[int, int]:
    """Moves a nominal byte range to whole lines, so that adjacent ranges still partition the file.

    Args:
        read: `read(offset, length)` gives the file's bytes there, short only at its end.
        size: the file's length in bytes.
        start: first byte of the nominal range.
        end: byte after the nominal range.
        path: the file, for error messages.
        rows_start: byte offset of the first row; lines before it are in no range.

    Returns:
        The byte range of the lines that start in the nominal range; it may be empty.

    Raises:
        InputError: a line at either end of the range is longer than MAX_LINE_BYTES.
    """
    first, last = (rows_start if at <= rows_start else align_to_line(read, size, at, path) for at in (start, end))
    return first, last
