"""Tables as spreadsheets, pandas and `cat` leave them, in every table and column."""

from collections.abc import Mapping

import numpy as np
import pytest

from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.check_rows import RowRules, TableRows, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.image_id import IMAGE_ID, IdForm, id_texts
from oi_tfrecord.openimages.schema import (
    COORDINATES,
    CSV_TABLES,
    FLAGS,
    LABEL_TABLES,
    MASK_COORDINATES,
    MASK_PATH,
    NO_COLUMN,
    QUOTED_LINE_BREAKS,
    UNKNOWN,
    UNKNOWN_IOU,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject

VOCABULARY = Vocabulary(("/m/01g317", "/m/09j2d"))

_LABEL = {"ImageID": "0000033073932c2e", "Source": "xclick", "LabelName": "/m/09j2d", "Confidence": "1"}

_BOX = {"XMin": "0.25", "XMax": "0.75", "YMin": "0.5", "YMax": "1"}

ROWS: Mapping[Table, dict[str, str]] = {
    Table.METADATA: {"ImageID": "0000033073932c2e", "Subset": "train", "Rotation": "90.0"},
    Table.BOXES: {**_LABEL, **_BOX, **dict.fromkeys(FLAGS.values(), "1")},
    Table.HUMAN_LABELS: _LABEL,
    Table.MACHINE_LABELS: _LABEL,
    Table.MASKS: {MASK_PATH: "a_m09j2d_1.png", "ImageID": "0000033073932c2e", "LabelName": "/m/09j2d",
                  **{f"Box{name}": value for name, value in _BOX.items()}, "PredictedIoU": "0.9"},
}  # fmt: skip
"""A good row of each table, by column."""

EVERY_COLUMN = [(table, column) for table, row in ROWS.items() for column in row]


def read(table: Table, *rows: Mapping[str, str], ends: str = "\n", form: IdForm = IdForm.HEX) -> TableRows:
    """Returns what becomes of rows of a table."""
    text = "".join(",".join(row.values()) + ends for row in rows)
    return read_bytes(table, text.encode(), form)


def read_bytes(table: Table, data: bytes, form: IdForm = IdForm.HEX) -> TableRows:
    names = tuple(ROWS[table])
    kinds = columns_to_parse(table, names, ("Rotation",), subset=True, id_form=form)
    parsed = parse_rows(data, names, kinds, quoted_line_breaks=table in QUOTED_LINE_BREAKS)
    return make_rows(table, parsed, RowRules(VOCABULARY, np.ones(2, bool)))


def header(table: Table) -> dict[str, str]:
    return {name: name for name in ROWS[table]}


def same(first: TableRows, second: TableRows) -> bool:
    texts = [{name: column.to_pylist() for name, column in made.text_columns.items()} for made in (first, second)]
    return first.rows.tobytes() == second.rows.tobytes() and first.sources == second.sources and texts[0] == texts[1]


@pytest.mark.parametrize(("table", "column"), [pair for pair in EVERY_COLUMN if pair[1] != "Rotation"])
@pytest.mark.parametrize("blanks", [" {}", "{} ", "\t{}  "])
def test_blanks_around_a_value_are_not_part_of_it(table: Table, column: str, blanks: str) -> None:
    row = ROWS[table]
    spaced = row | {column: blanks.format(row[column])}
    assert same(read(table, row, spaced, row), read(table, row, row, row))


@pytest.mark.parametrize("table", CSV_TABLES)
@pytest.mark.parametrize("form", [IdForm.HEX, IdForm.NAME])
@pytest.mark.parametrize("change", ["{}", "\ufeff{}", " {}", '"{}"'])
def test_a_repeated_header_is_left_out_and_counted(table: Table, form: IdForm, change: str) -> None:
    row = ROWS[table]
    again = header(table)
    first = next(iter(again))
    made = read(table, row, again | {first: change.format(first)}, row | {"ImageID": "1" * 16}, again, form=form)
    assert made.rows["line"].tolist() == [0, 2]
    assert made.dropped == {Drop.REPEATED_HEADER: 2}
    assert (made.rows_read, made.faults) == (4, [])


@pytest.mark.parametrize(
    ("text", "iou"),
    [
        ("1.00000001", 1.0),
        ("-1e-17", 0.0),
        ("5E-1", 0.5),
        (" .5 ", 0.5),
        ("", UNKNOWN_IOU),
        ("0_1", None),
        ("nan", None),
    ],
)
def test_predicted_iou_is_read_as_other_numbers_are(text: str, iou: float | None) -> None:
    data = ",".join((ROWS[Table.MASKS] | {"PredictedIoU": text}).values()).encode()
    kinds = columns_to_parse(Table.MASKS, tuple(ROWS[Table.MASKS]), ("PredictedIoU",))
    parsed = parse_rows(data, tuple(ROWS[Table.MASKS]), kinds, quoted_line_breaks=False)
    made = make_rows(Table.MASKS, parsed, RowRules(VOCABULARY, np.ones(2, bool)))
    assert made.rows["predicted_iou"].tolist() == ([] if iou is None else [iou])
    assert [fault.reason for fault in made.faults] == ([Reject.BAD_PREDICTED_IOU] if iou is None else [])


def test_a_row_that_is_not_quite_the_header_is_a_row() -> None:
    row = ROWS[Table.METADATA] | {"ImageID": "ImageID"}
    made = read(Table.METADATA, row, form=IdForm.NAME)
    assert id_texts(made.rows["image_id"], made.text_columns) == ["ImageID"]
    assert read(Table.METADATA, row).faults[0].reason is Reject.BAD_IMAGE_ID


@pytest.mark.parametrize("table", CSV_TABLES)
@pytest.mark.parametrize("ends", ["\r\n", "\r\r\n", "\r\r\r\n"])
def test_lines_may_end_in_several_carriage_returns(table: Table, ends: str) -> None:
    row = ROWS[table]
    made = read(table, row, row | {"ImageID": "1" * 16}, ends=ends)
    assert same(made, read(table, row, row | {"ImageID": "1" * 16}))
    assert (made.line_count, made.faults) == (2, [])
    quoted = f'"{row["ImageID"]}"'
    assert same(read(table, row | {"ImageID": quoted}, row, ends=ends), read(table, row, row))


@pytest.mark.parametrize("column", FLAGS.values())
@pytest.mark.parametrize(
    ("text", "flag"),
    [("0.0", 0), ("1.0", 1), ("-1.0", UNKNOWN), ("", UNKNOWN), (" ", UNKNOWN), ("-0.0", 0), ("+1.00", 1), ("01", 1)],
)
def test_a_flag_is_read_in_every_column(column: str, text: str, flag: int) -> None:
    made = read(Table.BOXES, ROWS[Table.BOXES] | {column: text})
    [field] = [name for name, of_field in FLAGS.items() if of_field == column]
    assert made.rows[field].tolist() == [flag]


@pytest.mark.parametrize("column", FLAGS.values())
@pytest.mark.parametrize("text", ["0X1", "0x1", "1.5", "+-1", "1e0", "."])
def test_a_text_is_no_flag_in_any_column(column: str, text: str) -> None:
    [fault] = read(Table.BOXES, ROWS[Table.BOXES] | {column: text}).faults
    assert (fault.reason, column in fault.detail, text in fault.detail) == (Reject.MALFORMED_ROW, True, True)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *((Table.BOXES, column) for column in COORDINATES.values()),
        *((Table.MASKS, column) for column in MASK_COORDINATES.values()),
        *((table, "Confidence") for table in (Table.BOXES, *LABEL_TABLES)),
    ],
)
def test_a_value_may_miss_the_border_by_one_tolerance(table: Table, column: str) -> None:
    low = "Min" in column
    near, far = ("-1e-17", "-1.1e-6") if low else ("1.00000001", "1.0000011")
    exact = "0" if low else "1"
    row = ROWS[table]
    assert same(read(table, row | {column: near}), read(table, row | {column: exact}))
    if column == "Confidence":
        assert same(read(table, row | {column: "-1e-17"}), read(table, row | {column: "0"}))
    if table is not Table.MASKS:
        [fault] = read(table, row | {column: far}).faults
        assert fault.reason is (Reject.BAD_CONFIDENCE if column == "Confidence" else Reject.BOX_OUT_OF_RANGE)


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_confidence_of_a_box_is_as_an_absent_column(text: str) -> None:
    row = ROWS[Table.BOXES]
    assert same(read(Table.BOXES, row | {"Confidence": text}, row), read(Table.BOXES, row, row))
    for table in LABEL_TABLES:
        assert [fault.reason for fault in read(table, ROWS[table] | {"Confidence": text}).faults] == [
            Reject.MALFORMED_ROW
        ]


def test_an_absent_flag_differs_from_an_empty_one() -> None:
    names = tuple(name for name in ROWS[Table.BOXES] if name != "IsInside")
    data = ",".join(ROWS[Table.BOXES][name] for name in names).encode()
    parsed = parse_rows(data, names, columns_to_parse(Table.BOXES, names), quoted_line_breaks=False)
    made = make_rows(Table.BOXES, parsed, RowRules(VOCABULARY, np.ones(2, bool)))
    assert made.rows["inside"].tolist() == [NO_COLUMN]


@pytest.mark.parametrize("table", [Table.BOXES, Table.HUMAN_LABELS])
@pytest.mark.parametrize("count", [255, 256, 257, 300])
def test_a_table_has_up_to_256_sources(table: Table, count: int) -> None:
    made = read(table, *(ROWS[table] | {"Source": f"source{number}"} for number in range(count)))
    names = [made.sources[code] for code in made.rows["source"].tolist()]
    kept = count if count <= 256 else 255
    assert names == [f"source{number}" for number in range(kept)] + ["other"] * (count - kept)


def test_a_source_of_the_name_other_takes_the_further_ones() -> None:
    row = ROWS[Table.HUMAN_LABELS]
    texts = ["other", *(f"source{number}" for number in range(299))]
    made = read(Table.HUMAN_LABELS, *(row | {"Source": text} for text in texts))
    assert [made.sources[code] for code in made.rows["source"].tolist()] == [*texts[:255], *["other"] * 45]


def test_names_keep_their_case_and_inner_blanks() -> None:
    row = ROWS[Table.HUMAN_LABELS]
    names = ["IMG 1", "img 1", " 000123 ", "123", "a.b", "Zoë", "0000033073932C2E"]
    made = read(Table.HUMAN_LABELS, *(row | {"ImageID": name} for name in names), form=IdForm.NAME)
    assert id_texts(made.rows["image_id"], made.text_columns) == [name.strip() for name in names]
    assert len(set(made.rows["image_id"].tolist())) == len(names)
    assert IMAGE_ID in made.text_columns


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\x07b", "x" * 256, ".", "..", "\x85"])
def test_a_text_that_is_no_name_is_a_bad_image_id(name: str) -> None:
    row = ROWS[Table.BOXES]
    made = read(Table.BOXES, row, row | {"ImageID": name}, form=IdForm.NAME)
    assert [(fault.line, fault.reason) for fault in made.faults] == [(1, Reject.BAD_IMAGE_ID)]
    assert len(made.rows) == 1


def test_bytes_that_are_no_utf8_are_no_name() -> None:
    [fault] = read_bytes(Table.HUMAN_LABELS, b"\xff,xclick,/m/09j2d,1\n", IdForm.NAME).faults
    assert fault.reason is Reject.BAD_IMAGE_ID
