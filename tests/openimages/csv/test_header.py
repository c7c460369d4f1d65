import bz2
import gzip

import pytest

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.header import Header, check_columns, read_header
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.csv.row_faults import Kind

ROW = b"0000033073932c2e,machine,/m/01g317,0.8\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_rows_start_after_the_header_line(bom: bytes, end: bytes) -> None:
    data = bom + b"ImageID,Source,LabelName,Confidence" + end + ROW
    header = read_header(data, "a.csv")
    assert header.names == ("ImageID", "Source", "LabelName", "Confidence")
    assert data[header.rows_start :] == ROW
    assert header.line_count == 1


def test_quoted_names_may_hold_commas_and_line_breaks_and_are_stripped() -> None:
    data = b'"ImageID", Source ,"a,b","c\nd"\n' + ROW
    header = read_header(data, "a.csv")
    assert header.names == ("ImageID", "Source", "a,b", "c\nd")
    assert data[header.rows_start :] == ROW
    assert header.line_count == 2


def test_blank_lines_before_the_header_are_counted() -> None:
    data = b"\n\r\nImageID,Source\n" + ROW
    header = read_header(data, "a.csv")
    assert header.names == ("ImageID", "Source")
    assert (data[header.rows_start :], header.line_count) == (ROW, 3)


def test_header_without_line_end_has_no_rows() -> None:
    assert read_header(b"ImageID,Source", "a.csv") == Header(("ImageID", "Source"), 14, 0)


def test_damage_in_rows_does_not_matter_to_the_header() -> None:
    assert read_header(b"ImageID\n\0\r\xff\n", "a.csv").names == ("ImageID",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\r\n\n", "empty"),
        ("ImageID,Source\n".encode("utf-16"), "iconv"),
        ("ImageID,Source\n".encode("utf-32"), "iconv"),
        ("\ufeffImageID,Source\n".encode("utf-32-be"), "iconv"),
        ("ImageID,Source\n".encode("utf-16-le"), "iconv"),
        (gzip.compress(b"ImageID\n", mtime=0), "gzip"),
        (bz2.compress(b"ImageID\n"), "bzip2"),
        (b"ImageID,S\xe9\n", "UTF-8"),
        (b"ImageID\rabc\rdef\r", "carriage return"),
        (b'ImageID,"Source\n', "quote"),
        (b"x" * 40_000, "does not end"),
    ],
)
def test_a_file_without_a_readable_header_is_an_input_error(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_header(data, "folder/a.csv")
    assert caught.value.path == "folder/a.csv"
    assert caught.value.remedy


def test_columns_may_come_in_any_order_and_more_may_be_there() -> None:
    check_columns(Header(("b", "x", "a"), 6, 1), ["a", "b"], "a.csv")


def test_missing_columns_are_named_with_what_is_there_and_the_nearest_name() -> None:
    with pytest.raises(InputError) as caught:
        check_columns(Header(("ImageId", "Source"), 15, 1), ["ImageID", "Confidence", "Source"], "a.csv")
    assert "'ImageID'; did you mean 'ImageId'?" in str(caught.value)
    assert "'Confidence'" in str(caught.value)
    assert "'Source'" not in str(caught.value)
    assert "found: ImageId, Source" in str(caught.value)


def test_a_row_in_place_of_the_header_is_recognised() -> None:
    with pytest.raises(InputError, match="header line is missing"):
        check_columns(read_header(ROW, "a.csv"), ["ImageID"], "a.csv")


def test_a_repeated_column_name_is_an_error() -> None:
    with pytest.raises(InputError, match="more than once: XMin"):
        check_columns(Header(("ImageID", "XMin", "XMin"), 0, 1), ["ImageID", "XMin"], "a.csv")


def test_columns_without_a_name_may_be_several() -> None:
    check_columns(read_header(b"ImageID,XMin,,\n", "a.csv"), ["ImageID", "XMin"], "a.csv")
    rows = parse_rows(
        b"0000000000000001,0.5,,\n", ("ImageID", "XMin", "", ""), {"XMin": Kind.NUMBER}, quoted_line_breaks=False
    )
    assert rows.columns.numbers["XMin"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"ImageID;Source;LabelName;Confidence\n", "semicolons separate the columns"),
        (b"ImageID\tSource\tLabelName\n", "tabs separate the columns"),
        (b"<!DOCTYPE html><html><body>Sign in, please</body>\n", r"is a web page \(HTML\)"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>\n', "in XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS.*git lfs pull"),
        (b'{"ImageID": 1}\n', "is JSON"),
    ],
)
def test_a_file_of_another_format_is_named(line: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check_columns(read_header(line, "a.csv"), ["ImageID", "LabelName"], "a.csv")


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (b"PK\x03\x04\x14\x00", "a spreadsheet.*Save the table as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet.*Save the table as CSV"),
        (b"PAR1\x15\x04", "a Parquet file.*Save the table as CSV"),
        (b"\x1f\x8b\x08", r"compressed \(gzip\).*end in .gz"),
        (b"BZh9", r"compressed \(bzip2\).*end in .bz2"),
    ],
)
def test_a_file_that_is_no_text_is_named(start: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_header(start + bytes(200), "a.csv")


@pytest.mark.parametrize(
    ("found", "advice"), [("xmin", "'XMin'; did you mean 'xmin'"), ("x_min", "did you mean 'x_min'"), ("left", "")]
)
def test_a_column_that_is_needed_by_its_own_name_is_not_suggested(found: str, advice: str) -> None:
    header = read_header(f"ImageID,{found},XMax,YMin,YMax\n".encode(), "a.csv")
    with pytest.raises(InputError, match="missing columns") as raised:
        check_columns(header, ["ImageID", "XMin", "XMax", "YMin", "YMax"], "a.csv")
    assert advice in str(raised.value)
    assert "did you mean 'XMax'" not in str(raised.value)
