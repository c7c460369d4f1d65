"""The lists of rejects beside the records, in pages."""

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterator, Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import rejects_path
from oi_tfrecord.dataset.rejects_csv import COLUMNS
from oi_tfrecord.reasons import Reject

_MEANINGS = {str(reason): reason.meaning for reason in Reject}


@dataclasses.dataclass(frozen=True)
class RejectRow:
    """A line of a list of rejects.

    Attributes:
        split: whose list it is.
        fields: values by COLUMNS.
    """

    split: str
    fields: dict[str, str]


@dataclasses.dataclass(frozen=True)
class RejectPage:
    """Some of the rejects.

    Attributes:
        total: number of all rejects for the reason that is asked for.
        reasons: number of rejects by reason.
        rows: the rejects of the page.
    """

    total: int
    reasons: dict[str, int]
    rows: list[RejectRow]


def read_rejects(output_dir: str, splits: Sequence[str], reason: str, start: int, count: int) -> RejectPage:
    """Reads a page of the rejects of a dataset; a list is read row by row, as it may have millions.

    Args:
        output_dir: folder of the records.
        splits: names of the splits; one without a list has no rejects.
        reason: only rejects for this reason; empty for all.
        start: number of rejects to leave out.
        count: number of rejects to return.
    """
    reasons: Counter[str] = Counter()
    rows = []
    total = 0
    for row in _read_lists(output_dir, splits):
        reasons[row.fields["Reason"]] += 1
        if reason in ("", row.fields["Reason"]):
            if start <= total < start + count:
                rows.append(row)
            total += 1
    return RejectPage(total, dict(reasons.most_common()), rows)


def explain_reason(reason: str) -> str:
    """Returns the meaning of a reason; an empty text for a reason that this version does not know."""
    return _MEANINGS.get(reason, "")


def _read_lists(output_dir: str, splits: Sequence[str]) -> Iterator[RejectRow]:
    for split in splits:
        path = rejects_path(output_dir, split)
        if not storage.exists(path):
            continue
        with io.TextIOWrapper(storage.open_read(path), "utf-8", "replace", newline="") as lines:
            for fields in csv.DictReader(lines):
                yield RejectRow(split, {name: fields.get(name) or "" for name in COLUMNS})
