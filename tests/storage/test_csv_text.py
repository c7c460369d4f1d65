import csv
import io

import pytest

from oi_tfrecord.storage.csv_text import as_text, format_csv_line, replace_undecodable, without_apostrophe


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_a_formula_gets_an_apostrophe(formula: str) -> None:
    assert as_text(formula) == f"'{formula}"
    assert without_apostrophe(f"'{formula}") == formula
    assert next(csv.reader(io.StringIO(format_csv_line([formula]), newline=""))) == [f"'{formula}"]


@pytest.mark.parametrize("cell", ["", "a=b", "'tis", "'", " =1", -1, 1.5, None])
def test_other_cells_stay(cell: object) -> None:
    assert as_text(cell) == cell
    if isinstance(cell, str):
        assert without_apostrophe(cell) == cell


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert replace_undecodable(b"a\xff\xc3\xa4".decode("utf-8", "surrogateescape")) == "a\ufffd\xe4"
