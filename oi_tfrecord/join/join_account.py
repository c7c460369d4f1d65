"""What the join of a shard rejected and left out: each step returns an account of its own, and they are added up."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

from oi_tfrecord.openimages.schema import RangeKey, Table
from oi_tfrecord.reasons import Drop, Reject


@dataclasses.dataclass(frozen=True)
class JoinFault:
    """A row rejected by the join.

    Attributes:
        key: the range of the row.
        line: line of the row, from 0 within the range.
        image_id: 16 hex digits.
        reason: why the row is rejected.
        detail: the reason in words, for the list of rejects.
    """

    key: RangeKey
    line: int
    image_id: str
    reason: Reject
    detail: str


@dataclasses.dataclass(frozen=True)
class DroppedRows:
    """A number of rows that the configuration leaves out."""

    table: Table
    reason: Drop
    count: int


@dataclasses.dataclass(frozen=True)
class JoinAccount:
    """The rows that do not get through a step of the join.

    Attributes:
        faults: rejected rows.
        dropped: rows that are left out.
    """

    faults: tuple[JoinFault, ...] = ()
    dropped: tuple[DroppedRows, ...] = ()

    @classmethod
    def sum_of(cls, accounts: Iterable["JoinAccount"]) -> "JoinAccount":
        """Returns the account of several steps, in their order."""
        accounts = tuple(accounts)
        return cls(
            tuple(fault for account in accounts for fault in account.faults),
            tuple(rows for account in accounts for rows in account.dropped),
        )

    def rejected_by_table(self, tables: Iterable[Table]) -> dict[Table, Counter[Reject]]:
        """Returns the number of rejected rows of each of `tables`, by reason."""
        rejected: dict[Table, Counter[Reject]] = {table: Counter() for table in tables}
        for fault in self.faults:
            rejected[fault.key.table][fault.reason] += 1
        return rejected

    def dropped_by_table(self, tables: Iterable[Table]) -> dict[Table, Counter[Drop]]:
        """Returns the number of left-out rows of each of `tables`, by reason."""
        dropped: dict[Table, Counter[Drop]] = {table: Counter() for table in tables}
        for rows in self.dropped:
            if rows.count:
                dropped[rows.table][rows.reason] += rows.count
        return dropped
