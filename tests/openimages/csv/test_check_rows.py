import csv
import ctypes
import dataclasses
import io
import math
import re
from collections import Counter
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.check_rows import (
    RowRules,
    TableRows,
    columns_to_parse,
    make_rows,
)
from oi_tfrecord.openimages.csv.filters import RowFilters
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.csv.row_faults import Kind
from oi_tfrecord.openimages.schema import (
    COORDINATES,
    CSV_TABLES,
    FLAGS,
    MASK_COORDINATES,
    NO_COLUMN,
    UNKNOWN,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject

VOCABULARY = Vocabulary(("/m/01g317", "/m/09j2d", "/m/0bt9lr"))
KEPT = np.array([True, False, True])

BOX_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", *COORDINATES.values(), *FLAGS.values())
MASK_COLUMNS = ("MaskPath", "ImageID", "LabelName", "BoxID", *MASK_COORDINATES.values(), "PredictedIoU", "Clicks")
LABEL_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")
OPTIONAL = {"Source", *FLAGS.values()}
INT64_MAX = 2**63 - 1

# Good values are repeated, or hardly any row would be good in every column.
FIELDS: dict[str, st.SearchStrategy[str]] = {
    "ImageID": st.sampled_from(
        ["0000033073932c2e", "ffffffffffffffff", " 0000000000000000 "] * 3
        + ["0000033073932C2E", "0000033073932c2", "0000033073932c2ef", "", "000003307393 c2e"]
    ),
    "Source": st.sampled_from(["xclick", " xclick", "activemil", "verification ", "machine", "", "Zoë, the cat"]),
    "LabelName": st.sampled_from([*VOCABULARY.mids] * 4 + [f" {VOCABULARY.mids[0]}", "/m/none", "", "/M/01G317"]),
    "Confidence": st.sampled_from(
        ["0", "1", "0.5", "0.4", "1.000000001", " 1", "1.0 "] * 3
        + ["1.00000011", "-1e-9", "-1e-6", "2", "1e300", "nan", "inf", "", " ", "high"]
    ),
    "low": st.sampled_from(
        ["0", "0.25", "0.1234567", " 1e-3 "] * 4 + ["-1e-17", "-1e-6", "-0.1", "0.9", "1e300", "-inf", "", "x"]
    ),
    "high": st.sampled_from(
        ["1", "0.75", "0.951487", "1.00000001"] * 4 + ["1.0000001", "0.1", "0.25000000001", "640", "nan", "", "0x1"]
    ),
    "flag": st.sampled_from(
        ["0", "1", "-1"] * 9
        + [
            "2",
            "-2",
            "-3",
            "255",
            "256",
            "-254",
            str(INT64_MAX),
            "99999999999999999999",
            "1.0",
            "-1.0",
            " 1 ",
            "+0.",
            "1.5",
            "0X1",
            ".",
        ]
        + [""]
    ),
}
KIND_OF_FIELD = {
    **{column: "low" if "Min" in column else "high" for column in COORDINATES.values()},
    **dict.fromkeys(FLAGS.values(), "flag"),
}
OTHER_KIND = {Table.HUMAN_LABELS: ["machine"], Table.MACHINE_LABELS: ["verification", "crowdsource-verification"]}
FILTERS = RowFilters(box_sources=("xclick", "verification"), exclude_flags=("group_of",), min_confidence=0.45)

NO_FILTERS = RowFilters()


@st.composite
def csv_data(draw: st.DrawFn, columns: tuple[str, ...]) -> tuple[tuple[str, ...], bytes]:
    """Draws a header and rows in the layout of a file, some of them at fault, and blank lines."""
    left_out = draw(st.sets(st.sampled_from(sorted(OPTIONAL & set(columns)))))
    if "LabelName" in columns and "XMin" in columns and draw(st.booleans()):
        left_out = left_out | {"Confidence"}
    names = tuple(draw(st.permutations([name for name in columns if name not in left_out])))
    row = st.tuples(*(FIELDS[KIND_OF_FIELD.get(name, name)] for name in names)).map(list)
    short = row.map(lambda fields: fields[:-1])
    long = row.map(lambda fields: [*fields, "more"])
    rows = draw(st.lists(st.one_of(*[row] * 12, short, long, st.just([])), max_size=12))
    out = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if draw(st.booleans()) else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator=draw(st.sampled_from(["\n", "\r\n"])), quoting=quoting).writerows(rows)
    return names, out.getvalue().encode()


def float32(text: str) -> float:
    return ctypes.c_float(float(text)).value


def side_of(text: str) -> float:
    """Returns a coordinate; those that miss the border by a rounding error lie on it."""
    value = float(text)
    on_border = min(max(value, 0.0), 1.0)
    return float32(str(on_border if abs(value - on_border) <= 1e-7 else value))


def confidence_of(row: dict[str, str]) -> float:
    """Returns the confidence of a row; 1 without a column or a value."""
    return side_of(row.get("Confidence") or "1")


def flag_of(text: str) -> int | None:
    """Returns the value of a flag; None for a text that is no integer, -1 for an empty cell."""
    text = text.strip(" ")
    if not text:
        return -1
    if not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", text) or abs(whole := int(text.partition(".")[0])) > INT64_MAX:
        return None
    return whole


@dataclasses.dataclass
class Expected:
    """The expected result of each line of a file."""

    rows: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    faults: list[tuple[int, str, Reject]] = dataclasses.field(default_factory=list)
    dropped: Counter[Drop] = dataclasses.field(default_factory=Counter)
    class_rows: Counter[str] = dataclasses.field(default_factory=Counter)


def unreadable(table: Table, row: dict[str, str]) -> Reject | None:
    if not re.fullmatch("[0-9a-f]{16}", row["ImageID"]):
        return Reject.BAD_IMAGE_ID
    for name, value in row.items():
        if name in FLAGS.values() and flag_of(value) is None:
            return Reject.MALFORMED_ROW
        if name == "Confidence" and table is Table.BOXES and not value:
            continue
        if name == "Confidence" or name in COORDINATES.values():
            try:
                finite = math.isfinite(float(value))
            except ValueError:
                finite = False
            if not finite:
                return Reject.MALFORMED_ROW
    return None


def unusable(table: Table, row: dict[str, str]) -> Reject | None:
    if row["LabelName"] not in VOCABULARY.mids:
        return Reject.UNKNOWN_CLASS
    confidence = confidence_of(row)
    verified = table is Table.HUMAN_LABELS and row.get("Source", "") != "machine"
    if confidence not in (0, 1) if verified else not 0 <= confidence <= 1:
        return Reject.BAD_CONFIDENCE
    if table is not Table.BOXES:
        return None
    xmin, xmax, ymin, ymax = (side_of(row[column]) for column in ("XMin", "XMax", "YMin", "YMax"))
    if not all(0 <= side <= 1 for side in (xmin, xmax, ymin, ymax)):
        return Reject.BOX_OUT_OF_RANGE
    if xmin >= xmax or ymin >= ymax:
        return Reject.DEGENERATE_BOX
    if not all(flag_of(row.get(column, "0")) in (0, 1, -1) for column in FLAGS.values()):
        return Reject.BAD_FLAG
    return None


def unwanted(table: Table, row: dict[str, str], filtered: bool) -> Drop | None:
    if row["LabelName"] == VOCABULARY.mids[1]:
        return Drop.CLASS_NOT_IN_LABEL_MAP
    # V1 has both kinds of label in one file, which is read as both tables.
    if table in OTHER_KIND and row.get("Source") in OTHER_KIND[table]:
        return Drop.OTHER_KIND_OF_LABEL
    if not filtered:
        return None
    if table is not Table.HUMAN_LABELS and confidence_of(row) < float32("0.45"):
        return Drop.LOW_CONFIDENCE
    if table is Table.BOXES:
        if row.get("Source", "") not in ("xclick", "verification"):
            return Drop.BOX_SOURCE
        if flag_of(row.get("IsGroupOf", "0")) == 1:
            return Drop.EXCLUDED_FLAG
    return None


def one_by_one(table: Table, names: tuple[str, ...], data: bytes, filtered: bool) -> Expected:
    """Computes the result of make_rows row by row, with the csv module."""
    expected = Expected()
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    for line, fields in enumerate(reader):
        if not fields:
            continue
        if len(fields) != len(names):
            expected.faults.append((line, "", Reject.MALFORMED_ROW))
            continue
        row = {name: field.strip(" ") for name, field in zip(names, fields, strict=True)}
        if reason := unreadable(table, row):
            expected.faults.append((line, "", reason))
            continue
        if reason := unusable(table, row):
            expected.faults.append((line, row["ImageID"], reason))
            continue
        expected.class_rows[row["LabelName"]] += 1
        if drop := unwanted(table, row, filtered):
            expected.dropped[drop] += 1
            continue
        values = [line, row["ImageID"], row["LabelName"], row.get("Source", ""), confidence_of(row)]
        if table is Table.BOXES:
            values += [side_of(row[column]) for column in COORDINATES.values()]
            values += [flag_of(row.get(column, str(NO_COLUMN))) for column in FLAGS.values()]
        expected.rows.append(tuple(values))
    return expected


def contents(table: Table, made: TableRows) -> list[tuple[Any, ...]]:
    fields = (*COORDINATES, *FLAGS) if table is Table.BOXES else ()
    return [
        (
            int(row["line"]),
            f"{int(row['image_id']):016x}",
            VOCABULARY.mids[row["label"]],
            made.sources[row["source"]],
            float(row["confidence"]),
            *(row[field].item() for field in fields),
        )
        for row in made.rows
    ]


def parse(table: Table, names: tuple[str, ...], data: bytes, filters: RowFilters = NO_FILTERS) -> TableRows:
    parsed = parse_rows(data, names, columns_to_parse(table, names), quoted_line_breaks=False)
    return make_rows(table, parsed, RowRules(VOCABULARY, KEPT, filters))


def check(table: Table, names: tuple[str, ...], data: bytes, filtered: bool) -> None:
    made = parse(table, names, data, FILTERS if filtered else NO_FILTERS)
    expected = one_by_one(table, names, data, filtered)
    assert contents(table, made) == expected.rows
    assert [(fault.line, fault.image_id, fault.reason) for fault in made.faults] == expected.faults
    assert made.dropped == dict(expected.dropped)
    assert made.class_rows.tolist() == [expected.class_rows[mid] for mid in VOCABULARY.mids]
    lines_with_rows = sum(bool(line) for line in data.splitlines())
    assert made.rows_read == lines_with_rows == len(made.rows) + len(made.faults) + sum(made.dropped.values())
    assert made.line_count == data.count(b"\n")
    assert made.text_columns == {}


@given(drawn=csv_data(BOX_COLUMNS), filtered=st.booleans())
def test_boxes_equal_what_the_csv_module_gives_row_by_row(drawn: tuple[tuple[str, ...], bytes], filtered: bool) -> None:
    check(Table.BOXES, *drawn, filtered)


@pytest.mark.parametrize("table", [Table.HUMAN_LABELS, Table.MACHINE_LABELS])
@given(drawn=csv_data(LABEL_COLUMNS), filtered=st.booleans())
def test_labels_equal_what_the_csv_module_gives_row_by_row(
    table: Table, drawn: tuple[tuple[str, ...], bytes], filtered: bool
) -> None:
    check(table, *drawn, filtered)


V2_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")
GOOD_BOX = "0000033073932c2e,xclick,/m/01g317,1,0.25,0.75,0.125,0.5"


def test_coordinates_are_taken_in_the_order_of_the_file() -> None:
    [row] = parse(Table.BOXES, V2_COLUMNS, GOOD_BOX.encode()).rows
    assert [row[side].item() for side in ("xmin", "xmax", "ymin", "ymax")] == [0.25, 0.75, 0.125, 0.5]


def test_absent_flags_are_not_zero() -> None:
    [row] = parse(Table.BOXES, V2_COLUMNS, GOOD_BOX.encode()).rows
    assert {row[flag].item() for flag in FLAGS} == {NO_COLUMN}


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_is_that_of_its_column(flag: str) -> None:
    names = (*V2_COLUMNS, *FLAGS.values())
    flags = ["1" if name == flag else "-1" for name in FLAGS]
    [row] = parse(Table.BOXES, names, f"{GOOD_BOX},{','.join(flags)}".encode()).rows
    assert {name: row[name].item() for name in FLAGS} == dict.fromkeys(FLAGS, UNKNOWN) | {flag: 1}


@pytest.mark.parametrize("value", ["2", "-2", "-3", "127", "128", "255", "256", "257", "-254", "-255", str(-(2**63))])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_wild_flag_never_becomes_a_valid_one(flag: str, value: str) -> None:
    names = (*V2_COLUMNS, FLAGS[flag])
    made = parse(Table.BOXES, names, f"{GOOD_BOX},{value}\n{GOOD_BOX},1\n".encode())
    assert [(fault.line, fault.reason) for fault in made.faults] == [(0, Reject.BAD_FLAG)]
    assert made.faults[0].detail == f"{FLAGS[flag]}={value}"
    assert made.rows["line"].tolist() == [1]


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ("0000033073932c2e,xclick,/m/none,1,0.25,0.75,0.125,0.5", Reject.UNKNOWN_CLASS, "/m/none"),
        ("0000033073932c2e,xclick,/m/01g317,1.0000001,0.25,0.75,0.125,0.5", Reject.BAD_CONFIDENCE, "1.0000001"),
        ("0000033073932c2e,xclick,/m/01g317,1,0.25,0.75,0.125,1.5", Reject.BOX_OUT_OF_RANGE, "YMax=1.5"),
        ("0000033073932c2e,xclick,/m/01g317,1,0.25,0.125,0.125,0.5", Reject.DEGENERATE_BOX, "XMin=0.25, XMax=0.125"),
    ],
)
def test_a_fault_says_what_was_found(row: str, reason: Reject, detail: str) -> None:
    [fault] = parse(Table.BOXES, V2_COLUMNS, f"{GOOD_BOX}\n{row}".encode()).faults
    assert (fault.line, fault.image_id, fault.reason) == (1, "0000033073932c2e", reason)
    assert detail in fault.detail


@pytest.mark.filterwarnings("error")
def test_a_value_beyond_float32_is_rejected_without_a_warning() -> None:
    rows = [GOOD_BOX.replace(",1,", ",1e300,"), GOOD_BOX.replace("0.75", "1e300")]
    made = parse(Table.BOXES, V2_COLUMNS, "\n".join(rows).encode())
    assert [fault.reason for fault in made.faults] == [Reject.BAD_CONFIDENCE, Reject.BOX_OUT_OF_RANGE]


def test_a_file_of_many_sources_keeps_the_first_names() -> None:
    rows = [GOOD_BOX.replace("xclick", f"source{number}") for number in range(300)]
    made = parse(Table.BOXES, V2_COLUMNS, "\n".join(rows).encode())
    names = [made.sources[code] for code in made.rows["source"]]
    assert names == [f"source{number}" for number in range(255)] + ["other"] * 45


@pytest.mark.parametrize("table", CSV_TABLES)
@pytest.mark.parametrize("data", [b"", b"\n\n", b"broken\n"])
def test_a_range_without_a_usable_row(table: Table, data: bytes) -> None:
    names = {Table.BOXES: BOX_COLUMNS, Table.MASKS: MASK_COLUMNS}.get(table, (*LABEL_COLUMNS, "Subset"))
    wanted = columns_to_parse(table, names, subset=True)
    filters = RowFilters(subsets=("train",), box_sources=("xclick",), min_confidence=0.5)
    parsed = parse_rows(data, names, wanted, quoted_line_breaks=True)
    made = make_rows(table, parsed, RowRules(VOCABULARY, KEPT, filters))
    assert len(made.rows) == 0
    assert made.rows_read == len(made.faults) == (data == b"broken\n")
    assert not made.class_rows.any()


METADATA_COLUMNS = ("ImageID", "Subset", "OriginalURL", "Author", "Title")
METADATA = (
    b'0000033073932c2e,train,http://a,"Zo\xc3\xab","a ""b"",\nc"\n'
    b"ffffffffffffffff,validation,http://b,\xe9\xff,\n"
    b"not an id,train,http://c,x,y\n"
    b"0000000000000001,train,http://d,,last"
)


def metadata(texts: set[str], subsets: tuple[str, ...] = (), **filters: Any) -> TableRows:
    wanted = columns_to_parse(Table.METADATA, METADATA_COLUMNS, texts, subset=bool(subsets))
    parsed = parse_rows(METADATA, METADATA_COLUMNS, wanted, quoted_line_breaks=True)
    return make_rows(Table.METADATA, parsed, RowRules(VOCABULARY, KEPT, RowFilters(subsets=subsets, **filters)))


def test_metadata_keeps_the_wanted_texts_as_bytes() -> None:
    made = metadata({"Author", "Title"})
    assert [f"{image_id:016x}" for image_id in made.rows["image_id"].tolist()] == [
        "0000033073932c2e",
        "ffffffffffffffff",
        "0000000000000001",
    ]
    assert made.rows["line"].tolist() == [0, 2, 4]
    assert {name: column.to_pylist() for name, column in made.text_columns.items()} == {
        "Author": ["Zoë".encode(), b"\xe9\xff", b""],
        "Title": [b'a "b",\nc', b"", b"last"],
    }
    assert [(fault.line, fault.reason) for fault in made.faults] == [(3, Reject.BAD_IMAGE_ID)]
    assert (made.rows_read, made.line_count) == (4, 5)


def test_an_image_of_another_subset_is_marked_and_still_known() -> None:
    made = metadata({"Title"}, subsets=("train", "test"))
    assert made.rows["excluded"].tolist() == [0, 1, 0]
    assert made.dropped == {}
    assert {name: column.to_pylist() for name, column in made.text_columns.items()} == {
        "Title": [b'a "b",\nc', b"", b"last"]
    }


def test_texts_of_an_image_of_another_subset_are_empty() -> None:
    texts = metadata({"Author", "Title"}, subsets=("train",)).text_columns
    assert {name: column.to_pylist() for name, column in texts.items()} == {
        "Author": ["Zoë".encode(), b"", b""],
        "Title": [b'a "b",\nc', b"", b"last"],
    }


def test_texts_follow_the_images_that_are_kept() -> None:
    made = metadata({"Title"}, image_ids=np.array([1], np.uint64))
    assert made.rows["line"].tolist() == [4]
    assert made.text_columns["Title"].to_pylist() == [b"last"]
    assert made.dropped == {Drop.NOT_IN_IMAGE_LIST: 2}
    assert made.rows_read == len(made.rows) + len(made.faults) + sum(made.dropped.values())


def test_only_columns_that_are_used_are_parsed() -> None:
    names = (*BOX_COLUMNS, "XClick1X", "Rotation")
    assert columns_to_parse(Table.BOXES, names) == {
        "ImageID": Kind.IMAGE_ID,
        "Source": Kind.CATEGORY,
        "LabelName": Kind.CATEGORY,
        "Confidence": Kind.OPTIONAL_NUMBER,
        **dict.fromkeys(("XMin", "XMax", "YMin", "YMax"), Kind.NUMBER),
        **dict.fromkeys(FLAGS.values(), Kind.FLAG),
    }
    assert set(columns_to_parse(Table.HUMAN_LABELS, names)) >= set(LABEL_COLUMNS)
    assert set(columns_to_parse(Table.METADATA, METADATA_COLUMNS, {"Title", "Rotation"})) == {"ImageID", "Title"}
    assert columns_to_parse(Table.METADATA, METADATA_COLUMNS, subset=True)["Subset"] is Kind.CATEGORY
    # A required column is parsed even if the header lacks it.
    assert "Confidence" in columns_to_parse(Table.HUMAN_LABELS, ("ImageID", "LabelName"))
    assert "Confidence" not in columns_to_parse(Table.BOXES, ("ImageID", "LabelName"))
