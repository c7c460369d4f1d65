import pytest

from oi_tfrecord.dataset.rejects_csv import Rejected, absolute_lines, format_header, format_piece
from oi_tfrecord.explore.report.reject_examples import group_rejects
from oi_tfrecord.reasons import Reject


def rejects_file(*rejected: Rejected) -> list[str]:
    return (format_header() + absolute_lines(format_piece(rejected), {("boxes", 0, 0): 2})).splitlines(keepends=True)


def box(line: int, reason: Reject, detail: str = "") -> Rejected:
    return Rejected("boxes", "boxes.csv", line, "000002b66c9c498e", reason, detail, range_index=0, file_index=0)


def test_rejects_are_grouped_with_their_first_examples() -> None:
    lines = rejects_file(
        box(0, Reject.DUPLICATE),
        Rejected("images", "a.jpg", -1, "0" * 16, Reject.IMAGE_MISSING, 'no "file", none'),
        *(box(line, Reject.BAD_FLAG, f"it is {line}") for line in range(5, 9)),
    )
    groups = group_rejects(lines, most=2)
    assert [(group.table, group.reason, group.count) for group in groups] == [
        ("boxes", "bad_flag", 4),
        ("boxes", "duplicate", 1),
        ("images", "image_missing", 1),
    ]
    assert [(row["Line"], row["Detail"]) for row in groups[0].examples] == [("7", "it is 5"), ("8", "it is 6")]
    assert groups[2].examples[0]["Detail"] == 'no "file", none'
    assert groups[2].examples[0]["Line"] == ""


def test_a_line_break_in_a_detail_is_no_row() -> None:
    [group] = group_rejects(rejects_file(box(0, Reject.BAD_FLAG, "one\r\ntwo\rthree")), most=5)
    assert group.examples[0]["Detail"] == "one\r\ntwo\rthree"


def test_no_rejects_are_no_groups() -> None:
    assert group_rejects([format_header()], most=5) == []


@pytest.mark.parametrize("lines", [[], ["ImageID,Reason\n"]])
def test_another_file_is_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="header"):
        group_rejects(lines, most=5)
