from oi_tfrecord.verification.check_rejects import compare_rejects
from oi_tfrecord.verification.faults import FaultKind

MANIFEST = {
    "images": {"rejected": {"image_missing": 2}},
    "tables": {"boxes": {"rejected": {"malformed_row": 1, "image_rejected": 7}}, "metadata": {"rejected": {}}},
}
REJECTS = (
    "Table,File,Line,ImageID,Reason,Detail\n"
    'images,a.jpg,,00000000000000aa,image_missing,"x, y"\n'
    "images,b.jpg,,00000000000000ab,image_missing,x\n"
    'boxes,b.csv,7,,malformed_row,"two\nlines"\n'
)


def test_rejects_are_listed_as_often_as_counted() -> None:
    assert compare_rejects("train", MANIFEST, REJECTS, "r.csv") == []
    lines = REJECTS.splitlines(keepends=True)
    for text in (
        None,
        "",
        REJECTS.replace("Line", "line", 1),
        "".join(lines[:2] + lines[3:]),
        REJECTS + lines[1],
        REJECTS.replace("malformed_row", "bad_flag"),
        REJECTS.replace("boxes,", "poxes,"),
        REJECTS + 'boxes,"open',
    ):
        faults = compare_rejects("train", MANIFEST, text, "r.csv")
        assert faults
        assert {(fault.kind, fault.file) for fault in faults} == {(FaultKind.REJECTS, "r.csv")}
