from collections import Counter

from oi_tfrecord.join.join_account import DroppedRows, JoinAccount, JoinFault
from oi_tfrecord.openimages.schema import RangeKey, Table
from oi_tfrecord.reasons import Drop, Reject


def fault(table: Table, reason: Reject, line: int) -> JoinFault:
    return JoinFault(RangeKey(table, 0, 0), line, "0" * 16, reason, "")


FIRST = JoinAccount((fault(Table.BOXES, Reject.DUPLICATE, 1),), (DroppedRows(Table.BOXES, Drop.NO_MASK, 2),))
SECOND = JoinAccount(
    (fault(Table.BOXES, Reject.DUPLICATE, 0), fault(Table.MASKS, Reject.MASK_WITHOUT_BOX, 0)),
    (DroppedRows(Table.BOXES, Drop.NO_MASK, 3), DroppedRows(Table.METADATA, Drop.OTHER_SUBSET, 0)),
)


def test_steps_are_added_up_in_their_order() -> None:
    account = JoinAccount.sum_of((FIRST, JoinAccount(), SECOND))
    assert account.faults == (*FIRST.faults, *SECOND.faults)
    assert account.rejected_by_table((Table.METADATA, Table.BOXES, Table.MASKS)) == {
        Table.METADATA: Counter(),
        Table.BOXES: Counter({Reject.DUPLICATE: 2}),
        Table.MASKS: Counter({Reject.MASK_WITHOUT_BOX: 1}),
    }


def test_a_reason_without_rows_is_not_counted() -> None:
    dropped = JoinAccount.sum_of((FIRST, SECOND)).dropped_by_table((Table.METADATA, Table.BOXES))
    assert {table: dict(counts) for table, counts in dropped.items()} == {
        Table.METADATA: {},
        Table.BOXES: {Drop.NO_MASK: 5},
    }
