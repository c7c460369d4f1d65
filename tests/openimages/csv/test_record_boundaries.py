import csv
import io
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.line_boundaries import MAX_LINE_BYTES, line_range
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan, record_starts, resolve, scan_block, split_stream
from tests.openimages.csv.test_line_boundaries import reader_of

# Not only well-formed CSV: any order of these, so that quotes open, close, double and stand in wrong places.
PIECES = ["a", "é", ",", ",", '"', '"', '""', "\n", "\r\n", ',"', '",', '"\n"', '","', '"\r\n"']
messy_text = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def well_formed(table: list[list[str]], line_end: str, quote_all: bool) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerows(table)
    return out.getvalue()


tables = st.builds(
    well_formed,
    st.lists(st.lists(st.text('ab,"\n', max_size=6), min_size=1, max_size=4), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)


def records(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def exact_ranges(data: bytes, block_size: int, rows_start: int = 0) -> list[tuple[int, int]]:
    scans = []
    for start in range(0, len(data), block_size):
        nominal_end = min(start + block_size, len(data))
        first, last = line_range(reader_of(data), len(data), start, nominal_end, "a.csv", rows_start)
        scans.append(scan_block(data[first:last], first))
    return resolve(scans, "a.csv")


def assert_partition(ranges: list[tuple[int, int]], start: int, end: int) -> None:
    assert all(first < last for first, last in ranges)
    assert [start, *(last for _, last in ranges)] == [*(first for first, _ in ranges), end]


@settings(deadline=None)
@given(messy_text | tables, st.integers(1, 40))
def test_ranges_partition_the_file_and_hold_the_records_of_the_csv_module(text: str, block_size: int) -> None:
    data = text.encode()
    ranges = exact_ranges(data, block_size)
    assert_partition(ranges, 0, len(data))
    found = [record for first, last in ranges for record in records(data[first:last].decode())]
    assert found == records(text)


@pytest.mark.parametrize("seed", range(20))
def test_ranges_hold_the_records_of_long_files(seed: int) -> None:
    choose = random.Random(seed)
    # Some seeds are mostly clean tables, some are noise throughout.
    pieces = PIECES if seed % 2 else ['"a","b ""c"" d","",""\n', 'a,"b\nc",,\r\n', '"5\n","\n\n"\n', 'x,5" disk\n']
    text = "".join(choose.choices(pieces, k=3000))
    data = text.encode()
    for block_size in (50, 1777, len(data)):
        ranges = exact_ranges(data, block_size)
        assert_partition(ranges, 0, len(data))
        assert [r for first, last in ranges for r in records(data[first:last].decode())] == records(text)


@settings(deadline=None)
@given(tables, st.integers(1, 9))
def test_each_record_is_in_the_range_of_the_block_in_which_it_starts(text: str, block_size: int) -> None:
    data = text.encode()
    blocks = [line_range(reader_of(data), len(data), at, at + block_size, "") for at in range(0, len(data), block_size)]
    starts = record_starts(data)[0].tolist()
    expected = [min(at for at in starts if a <= at < b) for a, b in blocks if any(a <= at < b for at in starts)]
    assert [first for first, _ in exact_ranges(data, block_size)] == expected


@settings(deadline=None)
@given(messy_text)
def test_a_scan_from_inside_quotes_equals_that_of_a_field_just_opened(text: str) -> None:
    data = text.encode()
    starts, inside = record_starts(b'"' + data)
    scan = scan_block(data, 100)
    assert scan.ends_inside[True] == inside
    assert scan.first_record[True] == (99 + int(starts[1]) if len(starts) > 1 else None)


@pytest.mark.parametrize("seed", range(10))
def test_a_scan_from_inside_quotes_is_exact_in_long_blocks(seed: int) -> None:
    choose = random.Random(seed)
    # Empty fields keep the two ways to read a block apart for long.
    pieces = PIECES if seed % 2 else ['"",', '"","",', '""""', '"\n"', '""\r\n', ",x"]
    weights = None if seed % 2 else [90, 30, 3, 1, 3, 1]
    text = "".join(choose.choices(pieces, weights, k=400))
    for skipped in range(150):
        data = text[skipped:].encode()
        starts, inside = record_starts(b'"' + data)
        scan = scan_block(data)
        assert scan.ends_inside[True] == inside
        assert scan.first_record[True] == (int(starts[1]) - 1 if len(starts) > 1 else None)


@pytest.mark.parametrize("empty_fields", [0, 1, 31, 32, 33, 200])
def test_readings_that_differ_for_many_fields_still_meet(empty_fields: int) -> None:
    # From inside quotes each empty field's second quote opens again, until the quote after `a` opens nothing.
    data = b'"",' * empty_fields + b'"a",b\n"c"\n'
    scan = scan_block(data)
    assert scan.first_record == (0, data.index(b"\n") + 1)
    assert scan.ends_inside == (False, False)


@settings(deadline=None)
@given(messy_text)
def test_record_starts_are_those_of_the_csv_module(text: str) -> None:
    data = text.encode()
    starts, inside = record_starts(data)
    borders = [*starts.tolist(), len(data)]
    parts = [data[a:b].decode() for a, b in itertools.pairwise(borders)]
    assert [records(part) for part in parts] == [[record] for record in records(text)]
    # A field that is still open takes in what follows.
    assert inside == (bool(parts) and records(parts[-1] + "\nx")[-1] != ["x"])


def test_no_rows_give_no_ranges() -> None:
    assert resolve([], "a.csv") == []
    assert exact_ranges(b"header\n", 3, rows_start=7) == []


def test_bytes_before_the_rows_are_in_no_range() -> None:
    data = b'h"\na,1\nb,2\n'
    assert_partition(exact_ranges(data, 2, rows_start=3), 3, len(data))


def test_a_record_with_an_unclosed_quote_over_the_limit_is_an_input_error() -> None:
    data = b'a,"b\n' + b"c,d\n" * (MAX_LINE_BYTES // 2)
    with pytest.raises(InputError, match="not closed"):
        exact_ranges(data, 1 << 19)
    assert len(exact_ranges(data.replace(b'"', b""), 1 << 19)) == 5


def test_long_records_that_each_keep_to_the_limit_are_no_error() -> None:
    size = MAX_LINE_BYTES - 1
    scans = [BlockScan(at, at + size, (True, True), (at, at + size - 9)) for at in range(0, 4 * size, size)]
    assert [first for first, _ in resolve(scans, "a.csv")] == [0, *(scan.end - 9 for scan in scans[1:])]


@settings(deadline=None)
@given(messy_text | tables, st.integers(1, 30), st.lists(st.integers(1, 9), min_size=1), st.booleans())
def test_a_stream_is_cut_in_blocks_of_whole_records(text: str, block: int, sizes: list[int], quoted: bool) -> None:
    data = text.encode()
    chunks: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[at : at + size])
        at += size
    blocks = list(split_stream(chunks, block, quoted, "a.csv.gz"))
    assert b"".join(blocks) == data
    if quoted:
        assert [r for part in blocks for r in records(part.decode())] == records(text)
    else:
        assert all(part.endswith(b"\n") for part in blocks[:-1])


def test_a_stream_is_cut_in_blocks_of_about_the_given_size() -> None:
    chunks = [b'a,"b\nc"\n'] * 1000
    lengths = [len(block) for block in split_stream(chunks, 100, True, "a.csv.gz")]
    assert max(lengths) <= 100 + len(chunks[0])


def test_a_stream_with_a_quote_never_closed_is_an_input_error() -> None:
    chunks = [b'a,b\n"', *[b"c,d\n" * 1000] * 1000]
    with pytest.raises(InputError, match="not closed"):
        list(split_stream(chunks, 100, True, "a.csv.gz"))
    assert b"".join(split_stream(chunks, 100, False, "a.csv.gz")) == b"".join(chunks)
