import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.rejects_csv import COLUMNS, MAX_DETAIL, Rejected, absolute_lines, format_header, format_piece
from oi_tfrecord.reasons import Reject
from oi_tfrecord.storage.csv_text import as_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ROWS = st.builds(
    Rejected,
    table=st.sampled_from(["metadata", "boxes", "human_labels"]),
    file=TEXT,
    line=st.integers(0, 2**32 - 1),
    image_id=st.sampled_from(["", "0000033073932c2e"]),
    reason=st.sampled_from(Reject),
    detail=TEXT,
    range_index=st.integers(0, 3),
    file_index=st.integers(0, 2),
)
IMAGES = st.builds(
    Rejected,
    table=st.just("images"),
    file=TEXT,
    line=st.just(-1),
    image_id=st.just("0000033073932c2e"),
    reason=st.sampled_from(Reject),
    detail=TEXT,
)
FIRST_LINES = {
    (table, file, index): 2 + 1000 * index + 7 * file
    for table in ("metadata", "boxes", "human_labels")
    for file in range(3)
    for index in range(4)
}


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(rejected=st.lists(ROWS | IMAGES, max_size=8))
def test_every_reject_has_its_line_in_the_file(rejected: list[Rejected]) -> None:
    rows = read(absolute_lines(format_piece(rejected), FIRST_LINES))
    for row, item in zip(rows, rejected, strict=True):
        line = ""
        if item.table != "images":
            line = str(FIRST_LINES[item.table, item.file_index, item.range_index] + item.line)
        texts = map(as_text, (item.table, item.file, line, item.image_id, item.reason.value, item.detail))
        assert row == list(texts)


@pytest.mark.parametrize("detail", ["a\rb", "\r", "a\r", "a\nb", "a\r\nb", "\0", "\x85", "\u2028", ""])
def test_control_characters_survive(detail: str) -> None:
    # A quoted LabelName, for example, can hold a carriage return.
    rejected = [Rejected("boxes", "boxes.csv", line, "", Reject.UNKNOWN_CLASS, detail, 0, 0) for line in range(2)]
    text = absolute_lines(format_piece(rejected), FIRST_LINES)
    assert [row[5] for row in read(text)] == [as_text(detail), as_text(detail)]
    assert text.endswith("\n")
    assert not text.endswith("\r\n")


def test_text_that_csv_must_quote_survives() -> None:
    detail = 'Zoë, "the cat"; it\'s'
    piece = format_piece([Rejected("boxes", "a,b.csv", 5, "0000033073932c2e", Reject.UNKNOWN_CLASS, detail, 1, 2)])
    line = FIRST_LINES["boxes", 2, 1] + 5
    expected = ["boxes", "a,b.csv", str(line), "0000033073932c2e", "unknown_class", detail]
    assert read(absolute_lines(piece, FIRST_LINES)) == [expected]


def test_a_long_detail_is_cut() -> None:
    piece = format_piece([Rejected("boxes", "b.csv", 0, "", Reject.MALFORMED_ROW, "a" * 10_000, 0, 0)])
    assert len(read(absolute_lines(piece, FIRST_LINES))[0][5]) == MAX_DETAIL


def test_the_line_is_empty_for_a_range_without_an_account() -> None:
    piece = format_piece([Rejected("boxes", "b.csv", 0, "ab", Reject.MALFORMED_ROW, "x", 9, 0)])
    assert read(absolute_lines(piece, FIRST_LINES)) == [["boxes", "b.csv", "", "ab", "malformed_row", "x"]]


def test_the_header_names_the_columns() -> None:
    assert read(format_header()) == [list(COLUMNS)]
    assert format_piece([]) == ""
    piece = format_piece([Rejected("boxes", "b.csv", 0, "", Reject.MALFORMED_ROW, "", 0, 0)])
    assert len(read(absolute_lines(piece, FIRST_LINES))[0]) == len(COLUMNS)
