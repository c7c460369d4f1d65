import csv
import io
import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.openimages.csv.parse import ParsedRows, parse_rows
from oi_tfrecord.openimages.csv.row_faults import Kind
from oi_tfrecord.reasons import Reject

REAL = pathlib.Path(__file__).parents[4] / "shared" / "data" / "real"

NAMES = ("ImageID", "Source", "Confidence", "IsGroupOf", "OriginalSize", "Title")
KINDS = {
    "ImageID": Kind.IMAGE_ID,
    "Source": Kind.CATEGORY,
    "Confidence": Kind.NUMBER,
    "IsGroupOf": Kind.INTEGER,
    "OriginalSize": Kind.OPTIONAL_INTEGER,
    "Title": Kind.TEXT,
}
GOOD = b"0000033073932c2e,xclick,0.5,-1,10,title\n"
# A row at fault anywhere makes the parser judge the rows around it one by one.
BAD = b"\0\n"

ids = st.integers(0, 2**64 - 1).map("{:016x}".format)
numbers = st.floats(allow_nan=False, allow_infinity=False).map(repr)
integers = st.integers(-(2**63), 2**63 - 1).map(str)
rows = st.tuples(
    ids, st.text("ab,\"é'", max_size=3), numbers, integers, integers | st.just(""), st.text('a,"é', max_size=9)
)
line_ends = st.sampled_from(["\n", "\r\n"])


def write(table: Sequence[tuple[str, ...]], line_end: str, quote_all: bool) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerows(table)
    return out.getvalue().encode()


def values(rows: ParsedRows, names: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Returns the rows as tuples; by default in the order of NAMES, further columns after them."""
    columns = rows.columns
    lists: dict[str, list[Any]] = {name: column.tolist() for name, column in columns.numbers.items()}
    lists |= {name: [column.values[code] for code in column.codes] for name, column in columns.categories.items()}
    lists |= {name: column.to_pylist() for name, column in columns.texts.items()}
    names = names or sorted(lists, key=lambda name: NAMES.index(name) if name in NAMES else len(NAMES))
    return list(zip(*(lists[name] for name in names), strict=True))


def expected(row: tuple[str, ...]) -> tuple[Any, ...]:
    image_id, source, confidence, flag, size, title = row
    return int(image_id, 16), source, float(confidence), int(flag), int(size or -1), title.encode()


def parse(data: bytes, breaks: bool = False) -> ParsedRows:
    return parse_rows(data, NAMES, KINDS, quoted_line_breaks=breaks)


@settings(deadline=None)
@given(st.lists(rows, max_size=8), line_ends, st.booleans(), st.booleans(), st.booleans())
def test_clean_rows_give_typed_columns_both_ways(
    table: list[tuple[str, ...]], line_end: str, quote_all: bool, breaks: bool, damaged: bool
) -> None:
    data = write(table, line_end, quote_all)
    found = parse(data + BAD if damaged else data, breaks)
    assert values(found) == [expected(row) for row in table]
    assert found.lines.tolist() == list(range(len(table)))
    assert len(found.rejects) == damaged
    assert found.line_count == found.rows_read == len(table) + damaged
    assert {name: column.dtype for name, column in found.columns.numbers.items()} == {
        "ImageID": np.uint64,
        "Confidence": np.float64,
        "IsGroupOf": np.int64,
        "OriginalSize": np.int64,
    }
    assert found.columns.categories["Source"].codes.dtype == np.int32
    assert found.lines.dtype == np.uint32


@settings(deadline=None)
@given(st.lists(rows, max_size=6), line_ends, st.booleans(), st.lists(st.booleans(), min_size=7, max_size=7))
def test_blank_lines_are_counted_as_lines_but_are_no_rows(
    table: list[tuple[str, ...]], line_end: str, damaged: bool, blanks: list[bool]
) -> None:
    data, lines, at = b"", [], 0
    for row, blank in itertools.zip_longest(table, blanks[: len(table) + 1]):
        if blank:
            data += line_end.encode()
            at += 1
        if row is not None:
            data += write([row], line_end, False)
            lines.append(at)
            at += 1
    found = parse(data + BAD if damaged else data)
    assert values(found) == [expected(row) for row in table]
    assert found.lines.tolist() == lines
    assert found.line_count == at + damaged


with_breaks = st.lists(st.tuples(ids, st.text('a,"\n', max_size=6), st.text('b,"\n', max_size=6)), max_size=8)


@settings(deadline=None)
@given(with_breaks, line_ends, st.booleans(), st.booleans(), st.booleans())
def test_rows_with_line_breaks_in_quotes(
    table: list[tuple[str, str, str]], line_end: str, quote_all: bool, cut: bool, damaged: bool
) -> None:
    data = write(table, line_end, quote_all)
    if cut:
        data = data.removesuffix(line_end.encode())
    elif damaged:
        data += b"\n" + BAD
    names = ("ImageID", "Author", "Title")
    kinds = {"Title": Kind.TEXT, "ImageID": Kind.IMAGE_ID}
    found = parse_rows(data, names, kinds, quoted_line_breaks=True)
    assert values(found, list(kinds)) == [(title.encode(), int(image_id, 16)) for image_id, _, title in table]
    sizes = [1 + sum(field.count("\n") for field in row) for row in table]
    assert found.lines.tolist() == list(itertools.accumulate(sizes, initial=0))[:-1]
    assert found.line_count == len(io.BytesIO(data).readlines())


PIECES = ["a", ",", '"', '""', "\n", "\r\n", ',"', '",', '"\n']


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.booleans())
def test_any_text_is_read_as_the_csv_module_reads_it(text: str, damaged: bool) -> None:
    data = text.encode()
    found = parse_rows(data, ("x", "y"), {"x": Kind.TEXT, "y": Kind.TEXT}, quoted_line_breaks=True)
    records = [record for record in csv.reader(io.StringIO(text, newline="")) if record]
    # The csv module accepts a field that is never closed; the parser rejects it.
    if records and list(csv.reader(io.StringIO(text + "\r\nz", newline="")))[-1] != ["z"]:
        records.pop()
        assert "not closed" in found.rejects[-1].detail
        assert found.rows_read == len(records) + 1
    else:
        assert found.rows_read == len(records)
        again = parse_rows(data + b"\n" + BAD, ("x", "y"), {"x": Kind.TEXT, "y": Kind.TEXT}, quoted_line_breaks=True)
        assert values(again) == values(found)
        assert again.lines.tolist() == found.lines.tolist()
    assert values(found) == [tuple(field.encode() for field in record) for record in records if len(record) == 2]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_a_line_is_a_record_whatever_its_quotes(text: str) -> None:
    kinds = {"x": Kind.TEXT, "y": Kind.TEXT}
    found = parse_rows(text.encode(), ("x", "y"), kinds, quoted_line_breaks=False)
    seen: dict[int, tuple[Any, ...] | None] = dict.fromkeys((reject.line for reject in found.rejects), None)
    seen |= dict(zip(found.lines.tolist(), values(found), strict=True))
    wanted: dict[int, tuple[Any, ...] | None] = {}
    for line, part in enumerate(io.StringIO(text, newline="").readlines()):
        records = list(csv.reader([part, "z\r\n"]))
        if len(records) == 2 and not records[0]:
            continue
        fits = len(records) == 2 and len(records[0]) == 2
        wanted[line] = tuple(field.encode() for field in records[0]) if fits else None
    assert seen == wanted


value_text = st.text("0123456789+-.eExXaNnif_ \t", max_size=6) | st.sampled_from(
    [
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "1e-999",
        "0x1",
        "9223372036854775808",
        "-9223372036854775808",
        "007",
        "NA",
        "null",
    ]
)


@settings(deadline=None)
@given(value_text, st.sampled_from([Kind.NUMBER, Kind.INTEGER, Kind.OPTIONAL_INTEGER]))
def test_a_number_is_judged_alike_both_ways_and_as_python_reads_it(text: str, kind: Kind) -> None:
    data = f"{text},x\n".encode()
    fast, careful = (parse_rows(part, ("v", "x"), {"v": kind}, quoted_line_breaks=False) for part in (data, data + BAD))
    assert values(fast) == values(careful)
    assert fast.rejects == careful.rejects[:-1]
    if text == "" and kind is Kind.OPTIONAL_INTEGER:
        assert values(fast) == [(-1,)]
        return
    try:
        wanted = float(text) if kind is Kind.NUMBER else int(text)
    except ValueError:
        wanted = math.nan
    if len(fast.lines):
        assert values(fast) == [(wanted,)]
    if "_" not in text and "+" not in text and text == text.strip():
        fits = math.isfinite(wanted) and (kind is Kind.NUMBER or -(2**63) <= wanted < 2**63)
        assert len(fast.lines) == fits


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "Infinity", "1e999", "", " ", "NA", "null", "1_0", "0x1", "1;5"]
)
def test_a_text_that_is_no_finite_number_is_malformed(text: str) -> None:
    found = parse_rows(f"{text},x\n1,y\n".encode(), ("v", "x"), {"v": Kind.NUMBER}, quoted_line_breaks=False)
    assert [reject.reason for reject in found.rejects] == [Reject.MALFORMED_ROW]
    assert values(found) == [(1.0,)]


@pytest.mark.parametrize("text", ["0x1", "1.0", "", "+1", "true", "9223372036854775808"])
def test_a_text_that_is_no_integer_is_malformed(text: str) -> None:
    found = parse_rows(f"{text},x\n1,y\n".encode(), ("v", "x"), {"v": Kind.INTEGER}, quoted_line_breaks=False)
    assert [reject.reason for reject in found.rejects] == [Reject.MALFORMED_ROW]
    assert values(found) == [(1,)]


@pytest.mark.parametrize(
    ("text", "flag"),
    [("0", 0), ("1", 1), ("-1", -1), ("1.0", 1), ("-1.0", -1), ("0.", 0), (" 1 ", 1), ("+1", 1), ("", -1), (" ", -1)],
)
def test_flags_are_read_as_other_programs_write_them(text: str, flag: int) -> None:
    fast, careful = (
        parse_rows(data.encode(), ("v", "x"), {"v": Kind.FLAG}, quoted_line_breaks=False)
        for data in (f"{text},x\n1,y\n", f"{text},x\n1,y\nz,z\n")
    )
    assert values(fast) == values(careful) == [(flag,), (1,)]
    assert (len(fast.rejects), len(careful.rejects)) == (0, 1)


@pytest.mark.parametrize("text", ["0X1", "0x1", "1.5", "true", ".", "1e0", "NA", "9223372036854775808", "- 1"])
def test_a_text_that_is_no_flag_is_malformed(text: str) -> None:
    found = parse_rows(f"{text},x\n1,y\n".encode(), ("v", "x"), {"v": Kind.FLAG}, quoted_line_breaks=False)
    assert [reject.reason for reject in found.rejects] == [Reject.MALFORMED_ROW]
    assert values(found) == [(1,)]


@pytest.mark.parametrize("text", ["", "NA", "null", "nan", "N/A", '""'])
def test_no_text_is_taken_for_a_missing_value(text: str) -> None:
    kinds = {"c": Kind.CATEGORY, "t": Kind.TEXT}
    found = parse_rows(f"{text},{text},1\n".encode(), ("c", "t", "n"), kinds, quoted_line_breaks=False)
    assert values(found) == [(text.strip('"'), text.strip('"').encode())]


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (b"0000033073932c2e,xclick,0.5,-1,10\n", Reject.MALFORMED_ROW, "6 fields expected, 5 found"),
        (b"0000033073932c2e,xclick,0.5,-1,10,a,b\n", Reject.MALFORMED_ROW, "6 fields expected, 7 found"),
        (b"0000033073932c2e,xclick,0.5,-1,10,a\0b\n", Reject.MALFORMED_ROW, "NUL"),
        (b"0000033073932c2e,xcl\xe9ck,0.5,-1,10,a\n", Reject.MALFORMED_ROW, "Source: 'xcl\\\\xe9ck'"),
        (b'0000033073932c2e,xclick,0.5,-1,10,"a\n', Reject.MALFORMED_ROW, "not closed"),
        (b'0000033073932c2e,"xclick,0.5,-1,10,a\n', Reject.MALFORMED_ROW, "not closed"),
        (b"0000033073932c2e,xclick,0.5,-1,10,a\rb\n", Reject.MALFORMED_ROW, "carriage return"),
        (b'0000033073932c2e,xclick,0.5,-1,10,"a"\rb\n', Reject.MALFORMED_ROW, "carriage return"),
        (
            b"0000033073932c2e,xclick,0.5,-1,\r0000033073932c2e,xclick,0.5,-1,10,b\n",
            Reject.MALFORMED_ROW,
            "carriage return",
        ),
        (b"0000033073932c2e,xclick,,-1,10,a\n", Reject.MALFORMED_ROW, "Confidence: ''"),
        (b"0000033073932c2e,xclick,0.5,,10,a\n", Reject.MALFORMED_ROW, "IsGroupOf: ''"),
        (b"0000033073932C2E,xclick,0.5,-1,10,a\n", Reject.BAD_IMAGE_ID, "ImageID: '0000033073932C2E'"),
        (b"0000033073932c2,xclick,0.5,-1,10,a\n", Reject.BAD_IMAGE_ID, "ImageID"),
        (b"0000033073932c2e0,xclick,0.5,-1,10,a\n", Reject.BAD_IMAGE_ID, "ImageID"),
        (b"\xef\xbb\xbf0000033073932c2e,xclick,0.5,-1,10,a\n", Reject.BAD_IMAGE_ID, "ImageID"),
        (b",xclick,0.5,-1,10,a\n", Reject.BAD_IMAGE_ID, "ImageID: ''"),
        (b"x" * 5000 + b"\n", Reject.MALFORMED_ROW, "6 fields expected, 1 found"),
    ],
)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_damaged_line_is_one_reject_and_harms_no_other(row: bytes, reason: Reject, detail: str, place: str) -> None:
    before = {"first": 0, "middle": 3, "last": 5}[place]
    found = parse(GOOD * before + row + GOOD * (5 - before))
    assert [(reject.line, reject.reason) for reject in found.rejects] == [(before, reason)]
    assert detail in found.rejects[0].detail
    assert len(found.rejects[0].detail) <= 200
    assert found.rejects[0].detail.isprintable()
    assert found.rows_read == found.line_count == 6
    assert found.lines.tolist() == [line for line in range(6) if line != before]
    assert values(found) == [(0x33073932C2E, "xclick", 0.5, -1, 10, b"title")] * 5


def test_half_a_last_line_is_a_reject() -> None:
    found = parse(GOOD * 2 + GOOD[:25])
    assert [(reject.line, reject.reason) for reject in found.rejects] == [(2, Reject.MALFORMED_ROW)]
    assert (found.rows_read, found.line_count) == (3, 3)


def test_a_last_line_needs_no_line_end() -> None:
    found = parse(GOOD * 2 + GOOD.rstrip())
    assert (found.rows_read, found.line_count, found.rejects) == (3, 3, [])


def test_an_open_quote_before_blank_lines_at_the_end_is_a_reject() -> None:
    for breaks in (False, True):
        found = parse(GOOD + GOOD.replace(b"title", b'"title') + b"\n\n", breaks)
        assert [reject.line for reject in found.rejects] == [1]
        assert found.line_count == 4


def test_with_line_breaks_allowed_a_damaged_record_is_one_reject_at_its_first_line() -> None:
    broken = b'0000033073932c2e,xclick,much,-1,10,"two\nlines"\n'
    found = parse(GOOD + broken + broken.replace(b"much", b"1") + GOOD, breaks=True)
    assert [(reject.line, reject.reason) for reject in found.rejects] == [(1, Reject.MALFORMED_ROW)]
    assert found.lines.tolist() == [0, 3, 5]
    assert found.line_count == 6
    assert found.columns.texts["Title"].to_pylist() == [b"title", b"two\nlines", b"title"]


def test_rows_lost_to_a_quote_and_rows_won_by_a_carriage_return_do_not_make_up_for_each_other() -> None:
    kinds = {"x": Kind.TEXT, "y": Kind.TEXT}
    found = parse_rows(b'x,1\ry,"a\nb"\nu,v\n', ("x", "y"), kinds, quoted_line_breaks=False)
    assert [reject.line for reject in found.rejects] == [0, 1]
    assert values(found) == [(b"u", b"v")]


def test_a_carriage_return_in_quotes_is_text() -> None:
    found = parse(GOOD.replace(b"title", b'"a\rb"') + GOOD)
    assert found.columns.texts["Title"].to_pylist() == [b"a\rb", b"title"]


def test_a_field_longer_than_the_csv_modules_limit_is_read_both_ways() -> None:
    title = b"t" * (csv.field_size_limit() + 1)
    for data in (GOOD.replace(b"title", b'"' + title + b'"'), GOOD.replace(b"title", b'"' + title + b'"') + BAD):
        assert parse(data).columns.texts["Title"].to_pylist() == [title]


def test_text_keeps_its_bytes_even_if_they_are_not_utf8() -> None:
    for data in (GOOD.replace(b"title", b"\xe9t\xff"), GOOD.replace(b"title", b"\xe9t\xff") + BAD):
        assert parse(data).columns.texts["Title"].to_pylist() == [b"\xe9t\xff"]


def test_bad_rows_are_found_in_long_data_and_keep_their_lines() -> None:
    total = 10_000
    bad = {0, 1023, 1024, 5000, total - 1}
    lines = [b"%016x,s%d,0.25,1,,t%d\n" % (line, line % 7, line) for line in range(total)]
    found = parse(b"".join(b"oops\n" if line in bad else text for line, text in enumerate(lines)))
    assert [reject.line for reject in found.rejects] == sorted(bad)
    kept = [line for line in range(total) if line not in bad]
    assert found.lines.tolist() == found.columns.numbers["ImageID"].tolist() == kept
    assert found.columns.texts["Title"].to_pylist() == [b"t%d" % line for line in kept]
    source = found.columns.categories["Source"]
    assert [source.values[code] for code in source.codes] == [f"s{line % 7}" for line in kept]
    assert len(source.values) == len(set(source.values)) == 7


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\n", b"oops\n"])
def test_data_without_valid_rows_gives_empty_columns_of_the_right_types(data: bytes) -> None:
    found = parse(data)
    assert values(found) == []
    assert found.columns.numbers["ImageID"].dtype == np.uint64
    assert found.columns.numbers["OriginalSize"].dtype == np.int64
    assert (found.columns.categories["Source"].values, found.columns.texts["Title"].to_pylist()) == ([], [])


@pytest.mark.parametrize(
    "name", ["train-annotations-bbox.sysaster-subset.csv", "validation-annotations-bbox.paired.csv"]
)
def test_real_boxes_are_read_as_the_csv_module_reads_them(name: str) -> None:
    path = REAL / "v4" / name
    if not path.exists():
        pytest.skip("the real annotation files are not here")
    data = path.read_bytes()
    table = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    kinds = {"ImageID": Kind.IMAGE_ID, "LabelName": Kind.CATEGORY, "XMax": Kind.NUMBER, "IsInside": Kind.INTEGER}
    begin = data.index(b"\n") + 1
    names = data[:begin].decode().strip().split(",")
    found = parse_rows(data[begin:], names, kinds, quoted_line_breaks=False)
    assert found.rejects == []
    wanted = [(int(r["ImageID"], 16), r["LabelName"], float(r["XMax"]), int(r["IsInside"])) for r in table]
    assert values(found, list(kinds)) == wanted
