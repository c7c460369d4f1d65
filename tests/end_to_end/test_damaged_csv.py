"""Damaged input ends in a clear error or a counted reject; nothing else is harmed and nothing is lost."""

import bz2
import csv
import gzip
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.records.tfrecord import read_records
from tests.conftest import REPOSITORY, Converted, convert_arguments
from tests.support.dataset_rows import read_list, rows_with_lines

BOXES, LABELS, IMAGES = "annotations-human-bbox.csv", "annotations-human.csv", "images.csv"
TABLE = {BOXES: "boxes", LABELS: "human_labels", IMAGES: "metadata"}


@pytest.fixture
def data(sample: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    shutil.copytree(sample, folder)
    return folder


@pytest.fixture(scope="module")
def clean(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The sample as it is, converted."""
    output_dir = tmp_path_factory.mktemp("clean")
    assert main(["convert", *convert_arguments(sample, output_dir)]) == 0
    return Converted(0, output_dir, "", "")


def table(data: pathlib.Path, name: str, split: str = "train") -> pathlib.Path:
    return data / "2017_11" / split / name


def records(result: Converted, split: str = "train") -> set[bytes]:
    found = set()
    for path in result.shards(split):
        with path.open("rb") as stream:
            found |= {record for _, record in read_records(stream)}
    return found


def shard_bytes(result: Converted) -> list[bytes]:
    return [path.read_bytes() for path in result.shards()]


def rejects(result: Converted, split: str = "train") -> list[tuple[str, str, str, str]]:
    """Table, file name, line and reason of each entry of the rejects file, sorted; it must agree with the manifest."""
    manifest = result.manifest(split)
    assert manifest["balanced"]
    entries = [(entry[0], pathlib.Path(entry[1]).name, entry[2], entry[4]) for entry in result.rejects(split)]
    counted = {"images": manifest["images"], **manifest["tables"]}
    listed = Counter((name, reason) for name, _, _, reason in entries)
    assert listed == {
        (name, reason): count
        for name, counts in counted.items()
        for reason, count in counts["rejected"].items()
        # The image is the reject; its rows are counted only.
        if reason != "image_rejected"
    }
    return sorted(entries)


def used_lines(data: pathlib.Path, name: str, split: str = "train") -> list[int]:
    """Lines (from 1) of an annotation file whose class is in the label map and whose image has such a box."""
    mids = set(read_list(data / "2017_11" / "classes-bbox-trainable.txt"))
    _, *boxes = rows_with_lines(table(data, BOXES, split))
    boxed = {row[0] for _, row in boxes if row[2] in mids}
    _, *rows = rows_with_lines(table(data, name, split))
    return [line for line, row in rows if row[2] in mids and row[0] in boxed]


def edit_line(path: pathlib.Path, number: int, change: Callable[[str], str]) -> str:
    """Changes a line (from 1) of a file and returns what it was. Surrogates stand for bytes that are not UTF-8."""
    lines = path.read_text().split("\n")
    before = lines[number - 1]
    lines[number - 1] = change(before)
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return before


def set_fields(**changes: str) -> Callable[[str], str]:
    """Returns a change of fields by column; `{XMin}` in a value stands for the field XMin."""
    names = [
        "ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax",
        "IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside",
    ]  # fmt: skip

    def change(line: str) -> str:
        row = dict(zip(names, line.split(","), strict=False))
        return ",".join({**row, **{name: value.format(**row) for name, value in changes.items()}}.values())

    return change


# What is done to a row, the reason for which it must be rejected, and what the detail must show.
BAD_ANNOTATIONS: dict[str, tuple[Callable[[str], str], str, str]] = {
    "missing field": (lambda row: row.rpartition(",")[0], "malformed_row", "fields expected"),
    "additional field": (lambda row: row + ",1", "malformed_row", "fields expected"),
    "not a number": (set_fields(Confidence="sure"), "malformed_row", "sure"),
    "not finite": (set_fields(Confidence="nan"), "malformed_row", "nan"),
    "NUL byte": (set_fields(Source="\0"), "malformed_row", "NUL"),
    "Latin-1 byte": (set_fields(Source="xcl\udce9ck"), "malformed_row", r"\xe9"),
    "Latin-1 byte in the class": (set_fields(LabelName="/m/caf\udce9"), "malformed_row", "LabelName: '/m/caf"),
    "stray quote": (set_fields(Source='"{Source}'), "malformed_row", "not closed"),
    "short ImageID": (set_fields(ImageID="00abcdef00abcde"), "bad_image_id", "00abcdef00abcde"),
    "empty ImageID": (set_fields(ImageID=""), "bad_image_id", ""),
    "upper-case ImageID": (set_fields(ImageID="00ABCDEF00ABCDEF"), "bad_image_id", "00ABCDEF00ABCDEF"),
    "unknown class": (set_fields(LabelName="/m/unheard_of"), "unknown_class", "/m/unheard_of"),
    "impossible confidence": (set_fields(Confidence="1.5"), "bad_confidence", "1.5"),
    "negative confidence": (set_fields(Confidence="-1"), "bad_confidence", "-1"),
    "image not in the metadata": (set_fields(ImageID="f" * 16), "annotation_without_image", "metadata"),
}
BAD_BOXES: dict[str, tuple[Callable[[str], str], str, str]] = {
    "coordinate is text": (set_fields(XMin="left"), "malformed_row", "left"),
    "coordinate is not a number": (set_fields(YMax="nan"), "malformed_row", "nan"),
    "coordinate is infinite": (set_fields(YMax="inf"), "malformed_row", "inf"),
    "coordinate is empty": (set_fields(YMin=""), "malformed_row", "YMin"),
    "inverted box": (set_fields(XMin="{XMax}", XMax="{XMin}"), "degenerate_box", "XMin="),
    "box upside down": (set_fields(YMin="{YMax}", YMax="{YMin}"), "degenerate_box", "YMin="),
    "box without area": (set_fields(XMax="{XMin}"), "degenerate_box", "XMax="),
    "box beyond the image": (set_fields(XMax="1.25"), "box_out_of_range", "1.25"),
    "box before the image": (set_fields(YMin="-0.1"), "box_out_of_range", "-0.1"),
    "box in pixels": (set_fields(XMin="10", XMax="200", YMin="10", YMax="90"), "box_out_of_range", "200"),
}
BAD_LABELS: dict[str, tuple[Callable[[str], str], str, str]] = {
    # A box without Confidence counts as a box of a table without this column; a label says nothing without one.
    "empty number": (set_fields(Confidence=""), "malformed_row", "Confidence"),
}
CASES = [
    *((name, case) for name in (BOXES, LABELS) for case in BAD_ANNOTATIONS),
    *((BOXES, case) for case in BAD_BOXES),
    *((LABELS, case) for case in BAD_LABELS),
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_bad_row_is_rejected_by_its_line_and_harms_nothing_else(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted, name: str, case: str
) -> None:
    change, reason, shows = (BAD_ANNOTATIONS | BAD_BOXES | BAD_LABELS)[case]
    path = table(data, name)
    number = used_lines(data, name)[20]
    before = edit_line(path, number, change)
    result = run(data, tmp_path / "out", "--max_rejects=1")
    assert result.code == 0, result.err
    assert rejects(result) == [(TABLE[name], name, str(number), reason)]
    [(_, file, line, image_id, _, detail)] = result.rejects()
    assert file == str(path)
    assert shows in detail
    assert path.read_bytes().split(b"\n")[int(line) - 1].startswith(image_id.encode())
    now, then = (run_.manifest()["tables"][TABLE[name]] for run_ in (result, clean))
    assert now["rows_read"] == then["rows_read"]
    assert now["written"] == then["written"] - 1
    # The image is as it was but for this row, and without a record if that was its only box.
    [changed] = records(clean) - records(result)
    assert before.split(",")[0].encode() in changed
    assert len(records(result) - records(clean)) <= 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [("2", "bad_flag"), ("7", "bad_flag"), ("-3", "bad_flag"), ("yes", "malformed_row"), ("1.5", "malformed_row")],
)
def test_a_bad_flag_is_rejected(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, value: str, reason: str
) -> None:
    number = used_lines(data, BOXES, "validation")[3]
    edit_line(table(data, BOXES, "validation"), number, set_fields(IsGroupOf=value))
    result = run(data, tmp_path / "out", "--max_rejects=1", split="validation")
    assert result.code == 0, result.err
    assert rejects(result, "validation") == [("boxes", BOXES, str(number), reason)]
    assert "IsGroupOf" in result.rejects("validation")[0][5]


def test_an_unknown_flag_is_no_fault_but_counted(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    edit_line(table(data, BOXES, "validation"), used_lines(data, BOXES, "validation")[3], set_fields(IsOccluded="-1"))
    result = run(data, tmp_path / "out", "--max_rejects=0", split="validation")
    assert result.code == 0, result.err
    assert rejects(result, "validation") == []
    assert result.manifest("validation")["totals"]["unknown_flags_written_as_0"] == 1


def test_a_box_without_confidence_counts_as_one_of_a_table_without_the_column(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted
) -> None:
    edit_line(table(data, BOXES), used_lines(data, BOXES)[20], set_fields(Confidence=""))
    result = run(data, tmp_path / "out", "--max_rejects=0")
    assert result.code == 0, result.err
    assert rejects(result) == []
    assert shard_bytes(result) == shard_bytes(clean)


@pytest.mark.parametrize("name", [BOXES, LABELS])
def test_half_a_last_line_is_a_reject_and_a_warning(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    path = table(data, name)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b",", 0, whole.rindex(b","))])
    result = run(data, tmp_path / "out", "--max_rejects=1")
    assert result.code == 0, result.err
    assert rejects(result) == [(TABLE[name], name, str(whole.count(b"\n")), "malformed_row")]
    [warning] = result.manifest()["warnings"]
    assert str(path) in warning
    assert "cut off" in warning


# Damage to a row of the metadata, the reason, and how many rows of the file it takes.
BAD_METADATA: dict[str, tuple[Callable[[str], str], str, int]] = {
    "upper-case ImageID": (lambda row: "ABCDEF" + row[6:], "bad_image_id", 1),
    "long ImageID": (lambda row: "0" + row, "bad_image_id", 1),
    "missing field": (lambda row: row.partition(",")[0] + row[row.index(",train") + 6 :], "malformed_row", 1),
    "NUL byte in the title": (lambda row: row.replace("Still life", "Still\0life"), "malformed_row", 1),
    # A field goes on until the next quote, which is in the row that follows.
    "title that is not closed": (lambda row: row[: row.rindex('"')] + row[row.rindex('"') + 1 :], "malformed_row", 2),
}


@pytest.mark.parametrize("case", BAD_METADATA)
@pytest.mark.parametrize("last", [False, True], ids=["", "last row"])
def test_a_bad_row_of_the_metadata_is_rejected_with_the_rows_of_its_image(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted, case: str, last: bool
) -> None:
    change, reason, rows_taken = BAD_METADATA[case]
    path = table(data, IMAGES)
    mids = set(read_list(data / "2017_11" / "classes-bbox-trainable.txt"))
    boxed = {row[0] for _, row in rows_with_lines(table(data, BOXES))[1:] if row[2] in mids}
    rows = rows_with_lines(path)
    if last:
        # The rows below a row on one line go, so that it is the last.
        index = max(n for n, (_, row) in enumerate(rows) if "Still life" in row[7] and row[0] in boxed)
        kept = path.read_text().split("\n")[: rows[index][0]]
        path.write_text("\n".join(kept) + "\n")
        rows = rows[: index + 1]
    else:
        index = next(
            n
            for n, (line, row) in enumerate(rows[:-2])
            if "Still life" in row[7] and row[0] in boxed and rows[n + 1][0] == line + 1 and n > 5
        )
    number = rows[index][0]
    edit_line(path, number, change)
    lost = {row[0] for _, row in rows[index : index + rows_taken]}
    named = {row[0] for _, row in rows[1:]} - lost
    result = run(data, tmp_path / "out", "--max_rejects=100%", "--select=all")
    assert result.code == 0, result.err
    expected = [("metadata", IMAGES, str(number), reason)]
    for name in (BOXES, LABELS):
        expected += [
            (TABLE[name], name, str(line), "annotation_without_image")
            for line, row in rows_with_lines(table(data, name))[1:]
            if row[2] in mids and row[0] not in named
        ]
    assert rejects(result) == sorted(expected)
    assert {entry[3] for entry in result.rejects() if entry[0] == "boxes"} >= {rows[index][1][0]}
    assert result.manifest()["images"]["records"] == len(named)
    with_box = run(data, tmp_path / "boxed", "--max_rejects=100%")
    assert records(with_box) == {r for r in records(clean) if any(image_id.encode() in r for image_id in named)}


def test_quotes_within_a_title_are_part_of_it(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted
) -> None:
    path = table(data, IMAGES)
    text = path.read_text()
    # One in a field that is not quoted, one that should have been doubled.
    assert text.count('"Still life no. 1"') == text.count('"Still life no. 2"') == 1
    text = text.replace('"Still life no. 1"', 'Still "life no. 1').replace('"Still life no. 2"', '"Still "life no. 2"')
    path.write_text(text)
    result = run(data, tmp_path / "out", "--max_rejects=0")
    assert result.code == 0, result.err
    assert rejects(result) == []
    assert records(result) == records(clean)


def test_line_numbers_hold_after_a_quoted_line_break(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = table(data, IMAGES)
    text = path.read_text()
    assert len(rows_with_lines(path)) < text.count("\n"), "no title with a line break"
    path.write_text(text + "not an image\n")
    result = run(data, tmp_path / "out", "--max_rejects=5")
    assert result.code == 0, result.err
    assert rejects(result) == [("metadata", IMAGES, str(text.count("\n") + 1), "malformed_row")]


@pytest.mark.parametrize("place", ["next to it", "at the end"])
@pytest.mark.parametrize("name", [BOXES, LABELS, IMAGES])
def test_a_repeated_row_is_kept_once(
    run: Callable[..., Converted],
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    clean: Converted,
    name: str,
    place: str,
) -> None:
    path = table(data, name)
    lines = path.read_text().splitlines(keepends=True)
    rows = rows_with_lines(path)
    starts = [line for line, _ in rows] + [len(lines) + 1]
    row = starts.index(used_lines(data, name)[5]) if name != IMAGES else 5
    again = lines[starts[row] - 1 : starts[row + 1] - 1]
    number = starts[row + 1] if place == "next to it" else len(lines) + 1
    path.write_text("".join([*lines[: number - 1], *again, *lines[number - 1 :]]))
    result = run(data, tmp_path / "out", "--max_rejects=1")
    assert result.code == 0, result.err
    assert rejects(result) == [(TABLE[name], name, str(number), "duplicate")]
    assert result.rejects()[0][3] == rows[row][1][0]
    counted = result.manifest()["tables"][TABLE[name]]
    assert counted["rows_read"] == clean.manifest()["tables"][TABLE[name]]["rows_read"] + 1
    assert shard_bytes(result) == shard_bytes(clean)


def test_of_two_rows_of_the_metadata_for_an_image_the_first_counts(
    run: Callable[..., Converted], sample: pathlib.Path, data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = table(data, IMAGES)
    text = path.read_text()
    row = next(line for line in text.splitlines() if "Still life" in line)
    path.write_text(text + row.replace("Still life", "Another") + "\n")
    flags = ("--extra_keys=attribution", "--max_rejects=1")
    result = run(data, tmp_path / "out", *flags)
    assert result.code == 0, result.err
    assert rejects(result) == [("metadata", IMAGES, str(text.count("\n") + 1), "duplicate")]
    assert shard_bytes(result) == shard_bytes(run(sample, tmp_path / "single", *flags))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\n" + text,
        lambda text: text.removesuffix("\n"),
    ],
    ids=["CRLF", "byte order mark", "blank lines", "blank first line", "no line end at the end"],
)
@pytest.mark.parametrize("name", [BOXES, LABELS, IMAGES])
def test_harmless_differences_change_nothing(
    run: Callable[..., Converted],
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    clean: Converted,
    name: str,
    change: Callable[[str], str],
) -> None:
    path = table(data, name)
    path.write_bytes(change(path.read_text()).encode())
    result = run(data, tmp_path / "out", "--max_rejects=0")
    assert result.code == 0, result.err
    assert rejects(result) == []
    assert shard_bytes(result) == shard_bytes(clean)
    cut_off = not path.read_bytes().endswith(b"\n")
    assert bool(result.manifest()["warnings"]) == cut_off


@pytest.mark.parametrize("name", [BOXES, LABELS, IMAGES])
def test_columns_are_found_by_name(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted, name: str
) -> None:
    path = table(data, name)
    rows = [row for _, row in rows_with_lines(path)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([*reversed(row), "more"] for row in rows)
    result = run(data, tmp_path / "out", "--max_rejects=0")
    assert result.code == 0, result.err
    assert shard_bytes(result) == shard_bytes(clean)


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_file_gives_the_shards_and_rejects_of_the_plain_one(
    run: Callable[..., Converted],
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    ending: str,
    compress: Callable[[bytes], bytes],
) -> None:
    for name in (BOXES, LABELS):
        edit_line(table(data, name), used_lines(data, name)[7], set_fields(Confidence="1.5"))
    table(data, IMAGES).write_text(table(data, IMAGES).read_text() + "not an image\n")
    plain = run(data, tmp_path / "plain", "--max_rejects=5")
    for name in TABLE:
        path = table(data, name)
        path.with_name(name + ending).write_bytes(compress(path.read_bytes()))
        path.unlink()
    packed = run(data, tmp_path / "packed", "--max_rejects=5")
    assert packed.code == plain.code == 0, packed.err
    assert shard_bytes(packed) == shard_bytes(plain)
    assert len(rejects(plain)) == 3
    assert rejects(packed) == [(name, file + ending, line, reason) for name, file, line, reason in rejects(plain)]


def rename_column(text: bytes) -> bytes:
    return text.replace(b"XMin", b"XMinimum", 1)


BAD_FILES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "missing column": (BOXES, rename_column, "missing columns: 'XMin'"),
    "no header": (BOXES, lambda text: text.split(b"\n", 1)[1], "header line is missing"),
    "header of another table": (BOXES, lambda text: text.replace(b",XMin,XMax,YMin,YMax", b"", 1), "'YMax'"),
    "header of V4": (
        IMAGES,
        lambda text: text.replace(b"Thumbnail300KURL", b"Thumbnail300KURL,Rotation", 1),
        "Give --release=mixed, and each file is read by the names of its columns.",
    ),
    "column twice": (BOXES, lambda text: text.replace(b"YMin", b"XMin", 1), "more than once: XMin"),
    "UTF-16": (LABELS, lambda text: text.decode().encode("utf-16"), "UTF-16"),
    "UTF-16 without mark": (LABELS, lambda text: text.decode().encode("utf-16-le"), "NUL bytes"),
    "Latin-1 in the header": (LABELS, lambda text: text.replace(b"Source", b"Sourc\xe9", 1), "not UTF-8"),
    "quote in the header": (IMAGES, lambda text: b'"' + text[: text.index(b"\n") + 1], "does not close"),
    "no boxes at all": (BOXES, lambda text: b"", "empty"),
    "no metadata at all": (IMAGES, lambda text: b"", "empty"),
    "only line ends": (LABELS, lambda text: b"\n\n\n", "empty"),
    "a web page": (BOXES, lambda text: b"<html><body>404</body></html>\n", "a web page"),
    "compressed but not named so": (BOXES, gzip.compress, "compressed (gzip)"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_an_unusable_file_is_one_clear_error(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, case: str
) -> None:
    name, damage, says = BAD_FILES[case]
    path = table(data, name)
    path.write_bytes(damage(path.read_bytes()))
    result = run(data, tmp_path / "out")
    assert result.code == 1
    assert says in result.err
    # The file, perhaps the line, what is wrong, what to do.
    assert re.fullmatch(rf"error: {re.escape(str(path))}(, line 1)?: [^\n]+\. [^\n]+\.\n", result.err)
    assert not result.shards()


def test_a_release_of_mixed_files_is_read_as_the_error_advises(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted
) -> None:
    """V3 with the metadata of V4: no configuration has both, so the advice may name none."""
    path = table(data, IMAGES)
    with path.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    with path.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows([[*header, "Rotation"], *([*row, "0.0"] for row in rows)])
    refused = run(data, tmp_path / "refused")
    assert refused.code == 1
    [advice] = re.findall(r"Give (--\S+),", refused.err)
    result = run(data, tmp_path / "out", advice, "--max_rejects=0")
    assert result.code == 0, result.err
    assert shard_bytes(result) == shard_bytes(clean)


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
@pytest.mark.parametrize("name", [BOXES, LABELS, IMAGES])
def test_a_plain_file_named_as_compressed_is_one_clear_error(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, name: str, ending: str
) -> None:
    path = table(data, name).rename(table(data, name + ending))
    result = run(data, tmp_path / "out")
    assert result.code == 1
    assert re.fullmatch(
        rf"error: {re.escape(str(path))}: cannot be read: [^\n]+\. Download it again[^\n]+\n", result.err
    )
    assert not result.shards()


@pytest.mark.parametrize(("name", "flag"), [(BOXES, "--boxes"), (IMAGES, "--metadata")])
def test_a_missing_file_is_an_error_that_names_its_flag(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, name: str, flag: str
) -> None:
    table(data, name).unlink()
    result = run(data, tmp_path / "out")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert result.err.startswith(f"error: {data / '2017_11'}: no file for {TABLE[name]}")
    assert flag in result.err


def test_missing_labels_are_a_warning(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    table(data, LABELS).unlink()
    result = run(data, tmp_path / "out")
    assert result.code == 0, result.err
    assert "human_labels" in result.manifest()["warnings"][0]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_quote_that_is_never_closed_swallows_no_images(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, packed: bool
) -> None:
    path = table(data, IMAGES)
    rows = "".join(f"{number:016x},train,,,,,A,T,1,,\n" for number in range(60_000))
    text = path.read_text() + '00000000000fffff,train,,,,,A,"T,1,,\n' + rows
    path.write_text(text)
    if packed:
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(text.encode(), 1))
        path.unlink()
    result = run(data, tmp_path / "out", "--select=all", "--max_rejects=100%")
    assert result.code == 1
    assert "a quoted field is not closed" in result.err
    assert "Traceback" not in result.err


def cut_off_gzip(path: pathlib.Path) -> pathlib.Path:
    """Replaces a table by a compressed one that is cut off, so long that its beginning reads well."""
    numbers = random.Random(5)
    rows = "".join(
        f"{numbers.getrandbits(64):016x},xclick,/m/0k4j,1,0.1,0.9,0.1,{numbers.random():.6f}\n" for _ in range(40_000)
    )
    packed = gzip.compress((path.read_text() + rows).encode(), 1)
    path.unlink()
    path = path.with_suffix(".csv.gz")
    path.write_bytes(packed[: len(packed) * 9 // 10])
    return path


def endless_line(path: pathlib.Path) -> pathlib.Path:
    """Adds a line that does not end within any range."""
    with path.open("ab") as file:
        file.write(b"x" * (3 << 20))
    return path


WORKER_FAULTS = {"cut off": (cut_off_gzip, "cannot be read"), "endless line": (endless_line, "no line ends within")}


@pytest.mark.parametrize("fault", WORKER_FAULTS)
@pytest.mark.parametrize("workers", [1, 4])
def test_a_fault_met_by_a_worker_is_the_same_clear_error(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, workers: int, fault: str
) -> None:
    damage, says = WORKER_FAULTS[fault]
    path = damage(table(data, BOXES))
    result = run(data, tmp_path / "out", f"--workers={workers}", "--csv_block_mb=1")
    assert result.code == 1
    # Beside the error there is the progress, each line of it with a time.
    [error] = [line for line in result.err.splitlines() if not line.startswith("[")]
    assert error.startswith(f"error: {path}: {says}")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "image_missing"),
        (b"", "image_empty"),
        (b"<!DOCTYPE html><html>Not found</html>", "not_an_image"),
        ("cut", "image_cut_off"),
        ("folder", "image_unreadable"),
        ("large", "image_too_large"),
    ],
)
def test_a_bad_image_is_rejected_with_its_rows(
    run: Callable[..., Converted],
    data: pathlib.Path,
    tmp_path: pathlib.Path,
    clean: Converted,
    content: bytes | str | None,
    reason: str,
) -> None:
    _, *rows = rows_with_lines(table(data, BOXES))
    line = used_lines(data, BOXES)[0]
    image_id = next(row[0] for number, row in rows if number == line)
    path = data / "images" / "train" / f"{image_id}.jpg"
    stored = path.read_bytes()
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        special = {"cut": stored[: len(stored) // 2], "large": stored + bytes(1 << 20)}
        path.write_bytes(special[content] if isinstance(content, str) else content)
    result = run(data, tmp_path / "out", "--max_rejects=1", "--max_image_bytes=1000000")
    assert result.code == 0, result.err
    assert rejects(result) == [("images", path.name, "", reason)]
    assert result.rejects()[0][1:4] == [str(path), "", image_id]
    mids = set(read_list(data / "2017_11" / "classes-bbox-trainable.txt"))
    own = sum(row[0] == image_id and row[2] in mids for _, row in rows)
    assert result.manifest()["tables"]["boxes"]["rejected"] == {"image_rejected": own}
    assert records(result) == {record for record in records(clean) if image_id.encode() not in record}
    assert len(records(result)) == len(records(clean)) - 1


# What lets root read any file.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def test_an_image_without_permission_is_a_reject(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = sorted((data / "images" / "train").iterdir())[0]
    path.chmod(0)
    done = run_process(data, tmp_path / "out", "--max_rejects=1", "--select=all", by=WITHOUT_RIGHTS)
    assert done.returncode == 0, done.stderr
    result = Converted(0, tmp_path / "out", done.stdout, done.stderr)
    assert rejects(result) == [("images", path.name, "", "image_unreadable")]
    assert "Permission denied" in result.rejects()[0][5]


@pytest.mark.parametrize("name", [f"train/{BOXES}", f"train/{IMAGES}", "classes-bbox-trainable.txt"])
def test_a_table_without_permission_is_one_clear_error(data: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    path = data / "2017_11" / name
    path.chmod(0)
    done = run_process(data, tmp_path / "out", by=WITHOUT_RIGHTS)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: {path}: Permission denied")


def test_latin_1_in_a_title_keeps_the_image(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted
) -> None:
    path = table(data, IMAGES)
    path.write_bytes(path.read_bytes().replace(b"Still life no. ", b"Still life caf\xe9 no. "))
    assert path.read_bytes().count(b"\xe9 no.") > 1
    result = run(data, tmp_path / "out", "--max_rejects=0")
    assert result.code == 0, result.err
    assert shard_bytes(result) == shard_bytes(clean)
    attributed = run(data, tmp_path / "attributed", "--max_rejects=0", "--extra_keys=attribution")
    assert attributed.code == 0, attributed.err
    assert len(records(attributed)) == len(records(clean))


def missing_column(path: pathlib.Path) -> pathlib.Path:
    path.write_bytes(rename_column(path.read_bytes()))
    return path


@pytest.mark.parametrize("damage", [missing_column, endless_line])
def test_no_traceback_from_a_process_of_its_own(
    data: pathlib.Path, tmp_path: pathlib.Path, damage: Callable[[pathlib.Path], pathlib.Path]
) -> None:
    path = damage(table(data, BOXES))
    done = run_process(data, tmp_path / "out")
    assert done.returncode == 1
    [error] = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert error.startswith(f"error: {path}")
    assert not done.stdout


def test_too_many_rejects_end_a_process_of_its_own_with_2(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = table(data, BOXES)
    path.write_text(path.read_text().replace("xclick", "x\0click"))
    done = run_process(data, tmp_path / "out")
    assert done.returncode == 2
    assert "malformed_row" in done.stderr
    assert "Traceback" not in done.stderr


def run_process(
    data: pathlib.Path, output_dir: pathlib.Path, *flags: str, by: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    command = [
        *by, sys.executable, "-m", "oi_tfrecord", "convert", "--config=v3", "--split=train",
        f"--data_dir={data / '2017_11'}", f"--images={data}/images/train/{{image_id}}.jpg",
        f"--output_dir={output_dir}", "--num_shards=2", "--csv_block_mb=1", *flags,
    ]  # fmt: skip
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
