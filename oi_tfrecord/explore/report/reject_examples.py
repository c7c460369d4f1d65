"""Groups the rejects of a conversion by reason, with a few examples of each."""

import csv
import dataclasses
from collections.abc import Iterable

from oi_tfrecord.dataset.rejects_csv import COLUMNS


@dataclasses.dataclass
class RejectGroup:
    """The rejects of a table for one reason.

    Attributes:
        table: table of the rows, or `images`.
        reason: one of `oi_tfrecord.reasons.Reject`.
        count: number of the rejects.
        examples: the first rejects, by the columns of the list of rejects.
    """

    table: str
    reason: str
    count: int = 0
    examples: list[dict[str, str]] = dataclasses.field(default_factory=list)


def group_rejects(lines: Iterable[str], most: int) -> list[RejectGroup]:
    """Groups the lines of a list of rejects.

    Args:
        lines: all lines of the file, with their line ends.
        most: number of examples of each group.

    Returns:
        The groups, the largest first.

    Raises:
        ValueError: if the header is not the one of a list of rejects.
    """
    rows = csv.reader(lines)
    header = next(rows, None)
    if header is None or tuple(header) != COLUMNS:
        raise ValueError(f"its header is not {','.join(COLUMNS)}")
    groups: dict[tuple[str, str], RejectGroup] = {}
    for row in rows:
        fields = dict(zip(COLUMNS, row, strict=False))
        key = fields.get("Table", ""), fields.get("Reason", "")
        group = groups.setdefault(key, RejectGroup(*key))
        group.count += 1
        if len(group.examples) < most:
            group.examples.append(fields)
    return sorted(groups.values(), key=lambda group: (-group.count, group.table, group.reason))
