"""Checks the list of rejects of a split against the counts of the manifest."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord.dataset.rejects_csv import COLUMNS
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file

_TABLES = {"images", *Table}


def compare_rejects(split: str, manifest: Mapping[str, Any], text: str | None, file: str) -> list[DatasetFault]:
    """Compares the list of rejects with the counts of the manifest.

    Args:
        split: name of the split.
        manifest: its entry.
        text: of the list; None where there is no such file.
        file: its name.
    """
    if text is None:
        problems = ["there is no such file"]
    else:
        listed, problems = _count_lines(text)
        problems += _find_differences(_count_stated(manifest), listed)
    return [fault_of_file(split, file, FaultKind.REJECTS, problem) for problem in problems]


def _count_stated(manifest: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """Returns the number of rejects that are listed, by (table, reason), as the manifest has it."""
    rejected = {str(name): table.get("rejected", {}) for name, table in manifest.get("tables", {}).items()}
    rejected["images"] = manifest.get("images", {}).get("rejected", {})
    return Counter({
        (table, reason): count
        for table, counts in rejected.items()
        for reason, count in counts.items()
        # Rows of a rejected image are counted, and not listed.
        if reason != Reject.IMAGE_REJECTED
    })  # fmt: skip


def _count_lines(text: str) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Returns the number of lines by (table, reason), and the problems of the text."""
    counts: Counter[tuple[str, str]] = Counter()
    problems = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(reader, None) != list(COLUMNS):
            problems.append(f"the header is not {','.join(COLUMNS)}")
        for row in reader:
            if len(row) == len(COLUMNS) and row[0] in _TABLES:
                counts[row[0], row[4]] += 1
            else:
                problems.append(f"line {reader.line_num} is not a reject: {row!r:.200}")
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    return counts, problems


def _find_differences(stated: Counter[tuple[str, str]], listed: Counter[tuple[str, str]]) -> Iterator[str]:
    for table, reason in sorted(stated.keys() | listed.keys()):
        if stated[table, reason] != listed[table, reason]:
            yield (f"{listed[table, reason]} lines of {table}, {reason}, and the manifest has {stated[table, reason]}")
