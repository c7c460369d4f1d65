"""Text for the CSV files that people open: what a stranger wrote must not run as a formula of a spreadsheet."""

import csv
import io
from collections.abc import Iterable

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters for which spreadsheets take a cell as a formula (OWASP, CSV Injection)."""


def as_text(cell: object) -> object:
    """Returns a cell that no spreadsheet takes as a formula: an apostrophe comes before the text of one.

    Args:
        cell: a number, which stays as it is, or text.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_STARTS_FORMULA) else cell


def without_apostrophe(cell: str) -> str:
    """Returns the text from which `as_text` made a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_STARTS_FORMULA) else cell


def replace_undecodable(text: str) -> str:
    """Returns the text with U+FFFD for bytes that were no UTF-8, which surrogates stand for (`surrogateescape`)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def format_csv_line(fields: Iterable[object]) -> str:
    """Returns one line of CSV, from which any text is read back unchanged but for the apostrophes of `as_text`."""
    # The csv module quotes a lone carriage return only if the line end has one, and an unquoted one would end the
    # line for readers.
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(map(as_text, fields))
    return out.getvalue().removesuffix("\r\n") + "\n"
