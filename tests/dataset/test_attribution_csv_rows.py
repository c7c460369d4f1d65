import io

from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.attribution_csv import name_fields, parse_row, split_rows
from oi_tfrecord.dataset.rejects_csv import format_csv_line

HEADER = ["ImageID", "Title", "Author", "AuthorProfileURL", "OriginalLandingURL", "License"]


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=4), max_size=8))
def test_rows_are_found_where_they_are(rows: list[list[str]]) -> None:
    data = "".join(format_csv_line(row) for row in rows).encode()
    found = list(split_rows(io.BytesIO(data)))
    assert [parse_row(row) for _, row in found] == rows
    assert [data[offset : offset + len(row)] for offset, row in found] == [row for _, row in found]


def test_a_file_that_is_cut_off_within_quotes_ends() -> None:
    assert [row for _, row in split_rows(io.BytesIO(b'a,b\nc,"d\ne'))] == [b"a,b\n", b'c,"d\ne']


def test_facts_are_named_by_their_columns() -> None:
    row = ["0" * 16, "A title", "", "https://profile", "https://landing", "CC"]
    assert name_fields(HEADER, row) == {
        "title": "A title", "profile_url": "https://profile", "landing_url": "https://landing", "license": "CC"
    }  # fmt: skip
    assert name_fields(HEADER, row[:2]) == {"title": "A title"}
    assert name_fields([], row) == {}


def test_an_empty_row_has_no_fields() -> None:
    assert parse_row(b"") == []
