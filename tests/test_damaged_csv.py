"""Damaged input ends in a clear error or a counted reject; nothing else is harmed and nothing is lost."""

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from oi_tfrecord.framing import read_records
from tests.conftest import REPOSITORY, Converted

BOXES, LABELS, IMAGES = "annotations-human-bbox.csv", "annotations-human.csv", "images.csv"


@pytest.fixture
def data(sample: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    shutil.copytree(sample, folder)
    return folder


def table(data: pathlib.Path, name: str, split: str = "train") -> pathlib.Path:
    return data / "2017_11" / split / name


def records(result: Converted, split: str = "train") -> set[bytes]:
    found = set()
    for path in result.shards(split):
        with path.open("rb") as stream:
            found |= {record for _, record in read_records(stream)}
    return found


def trainable_box_lines(data: pathlib.Path) -> list[int]:
    """Numbers (from 1) of the lines of the box file whose class is in the label map."""
    mids = set((data / "2017_11" / "classes-bbox-trainable.txt").read_text().split())
    lines = table(data, BOXES).read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if number > 1 and line.split(",")[2] in mids]


@pytest.fixture
def clean(run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path) -> Converted:
    return run(sample, tmp_path / "clean")


# Each edits the columns of a box row: ImageID, Source, LabelName, Confidence, XMin, XMax, YMin, YMax.
BAD_BOXES: dict[str, tuple[Callable[[list[str]], str], str]] = {
    "missing field": (lambda row: ",".join(row[:-1]), "malformed_row"),
    "additional field": (lambda row: ",".join([*row, "1"]), "malformed_row"),
    "not a number": (lambda row: ",".join([*row[:4], "left", *row[5:]]), "malformed_row"),
    "not finite": (lambda row: ",".join([*row[:4], "nan", *row[5:]]), "malformed_row"),
    "empty number": (lambda row: ",".join([*row[:4], "", *row[5:]]), "malformed_row"),
    "NUL byte": (lambda row: ",".join([*row[:4], "\0" + row[4], *row[5:]]), "malformed_row"),
    "short ImageID": (lambda row: ",".join([row[0][:15], *row[1:]]), "bad_image_id"),
    "upper-case ImageID": (lambda row: ",".join(["00ABCDEF00ABCDEF", *row[1:]]), "bad_image_id"),
    "unknown class": (lambda row: ",".join([*row[:2], "/m/unheard_of", *row[3:]]), "unknown_class"),
    "inverted box": (lambda row: ",".join([*row[:4], row[5], row[4], *row[6:]]), "degenerate_box"),
    "box without area": (lambda row: ",".join([*row[:4], row[4], row[4], *row[6:]]), "degenerate_box"),
    "box beyond the image": (lambda row: ",".join([*row[:5], "1.25", *row[6:]]), "box_out_of_range"),
    "box before the image": (lambda row: ",".join([*row[:4], "-0.1", *row[5:]]), "box_out_of_range"),
    "impossible confidence": (lambda row: ",".join([*row[:3], "1.5", *row[4:]]), "bad_confidence"),
    "image not in the metadata": (lambda row: ",".join(["f" * 16, *row[1:]]), "annotation_without_image"),
    "stray quote": (lambda row: ",".join([row[0], '"' + row[1], *row[2:]]), "malformed_row"),
}


@pytest.mark.parametrize("case", BAD_BOXES)
@pytest.mark.parametrize("last", [False, True], ids=["", "last line"])
def test_a_bad_box_row_is_rejected_by_line_and_harms_nothing_else(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted, case: str, last: bool
) -> None:
    damage, reason = BAD_BOXES[case]
    path = table(data, BOXES)
    lines = path.read_text().splitlines()
    number = trainable_box_lines(data)[-1 if last else 20]
    row = lines[number - 1].split(",")
    lines[number - 1] = damage(row)
    path.write_text("\n".join(lines) + "\n")
    result = run(data, tmp_path / "out", "--max_rejects=5")
    assert result.code == 0, result.err
    assert [(entry[0], entry[1], entry[2], entry[4]) for entry in result.rejects()] == [
        ("boxes", str(path), str(number), reason)
    ]
    manifest = result.manifest()
    assert manifest["balanced"]
    assert manifest["tables"]["boxes"]["rejected"] == {reason: 1}
    assert manifest["tables"]["boxes"]["written"] == clean.manifest()["tables"]["boxes"]["written"] - 1
    assert len(records(clean) - records(result)) == 1


@pytest.mark.parametrize("name", [BOXES, LABELS, IMAGES])
def test_a_repeated_row_is_kept_once(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted, name: str
) -> None:
    path = table(data, name)
    lines = path.read_text().splitlines(keepends=True)
    number = trainable_box_lines(data)[5] if name == BOXES else 4
    path.write_text("".join([*lines, lines[number - 1]]))
    result = run(data, tmp_path / "out", "--max_rejects=5")
    table_name = {BOXES: "boxes", LABELS: "human_labels", IMAGES: "metadata"}[name]
    found = [(entry[0], entry[2], entry[4]) for entry in result.rejects()]
    assert found in ([(table_name, str(len(lines) + 1), "duplicate")], []), found
    counted = result.manifest()["tables"][table_name]
    assert counted["rows_read"] == clean.manifest()["tables"][table_name]["rows_read"] + 1
    assert counted["balanced"]
    assert records(result) == records(clean)


def test_line_numbers_hold_after_a_quoted_line_break(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = table(data, IMAGES)
    text = path.read_text()
    assert sum(len(line.split(",")[0]) != 16 for line in text.splitlines()[1:]) > 0, "no title with a line break"
    path.write_text(text + "not an image\n")
    result = run(data, tmp_path / "out", "--max_rejects=5")
    assert result.code == 0, result.err
    assert [(entry[0], entry[2], entry[4]) for entry in result.rejects()] == [
        ("metadata", str(text.count("\n") + 1), "malformed_row")
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.removesuffix("\n"),
    ],
    ids=["CRLF", "byte order mark", "blank lines", "no line end at the end"],
)
@pytest.mark.parametrize("name", [BOXES, LABELS])
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
    result = run(data, tmp_path / "out")
    assert result.code == 0, result.err
    assert [p.read_bytes() for p in result.shards()] == [p.read_bytes() for p in clean.shards()]
    cut_off = not path.read_bytes().endswith(b"\n")
    assert bool(result.manifest()["warnings"]) == cut_off


def test_columns_are_found_by_name(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted
) -> None:
    path = table(data, BOXES)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("".join(",".join(reversed(row)) + "\n" for row in rows))
    result = run(data, tmp_path / "out")
    assert result.code == 0, result.err
    assert [p.read_bytes() for p in result.shards()] == [p.read_bytes() for p in clean.shards()]


def rename_column(text: bytes) -> bytes:
    return text.replace(b"XMin", b"XMinimum", 1)


BAD_FILES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "missing column": (BOXES, rename_column, "'XMin'"),
    "no header": (BOXES, lambda text: text.split(b"\n", 1)[1], "header line is missing"),
    "UTF-16": (LABELS, lambda text: text.decode().encode("utf-16"), "UTF-16"),
    "empty": (BOXES, lambda text: b"", "empty"),
    "a web page": (BOXES, lambda text: b"<html><body>404</body></html>\n", "missing columns"),
    "compressed but not named so": (BOXES, lambda text: __import__("gzip").compress(text), "compressed"),
    "metadata of V4": (IMAGES, lambda text: text.replace(b"Thumbnail300KURL", b"Thumbnail300KURL,Rotation", 1), "v4"),
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
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert str(path) in result.err
    assert says in result.err
    assert not result.shards()


def test_a_missing_box_file_is_an_error_and_missing_labels_are_a_warning(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    table(data, LABELS).unlink()
    result = run(data, tmp_path / "out")
    assert result.code == 0, result.err
    assert "human_labels" in result.manifest()["warnings"][0]
    table(data, BOXES).unlink()
    result = run(data, tmp_path / "other")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "--boxes" in result.err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_met_by_a_worker_is_the_same_clear_error(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, workers: int
) -> None:
    import gzip
    import random

    path = table(data, BOXES)
    # Long enough that the header and the sampled rows are read without meeting the end.
    rows = "".join(
        f"{random.Random(n).getrandbits(64):016x},xclick,/m/0k4j,1,0.1,0.9,0.1,0.9\n" for n in range(400_000)
    )
    packed = gzip.compress((path.read_text() + rows).encode(), 1)
    path.unlink()
    path.with_suffix(".csv.gz").write_bytes(packed[: len(packed) * 9 // 10])
    result = run(data, tmp_path / "out", f"--workers={workers}")
    assert result.code == 1
    assert result.err.strip().splitlines()[-1].startswith(f"error: {path}.gz: cannot be read")
    assert "Traceback" not in result.err


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
    image_id = table(data, BOXES).read_text().splitlines()[trainable_box_lines(data)[0] - 1].split(",")[0]
    path = data / "images" / "train" / f"{image_id}.jpg"
    stored = path.read_bytes()
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        special = {"cut": stored[: len(stored) // 2], "large": stored + bytes(1 << 20)}
        path.write_bytes(special[content] if isinstance(content, str) else content)
    result = run(data, tmp_path / "out", "--max_rejects=50%", "--max_image_bytes=1000000")
    assert result.code == 0, result.err
    assert [(entry[0], entry[1], entry[3], entry[4]) for entry in result.rejects()] == [
        ("images", str(path), image_id, reason)
    ]
    assert result.manifest()["images"]["rejected"] == {reason: 1}
    assert result.manifest()["balanced"]
    assert records(result) < records(clean)
    assert len(records(clean) - records(result)) == 1


def test_latin_1_in_a_title_keeps_the_image(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, clean: Converted
) -> None:
    path = table(data, IMAGES)
    lines = path.read_bytes().split(b"\n")
    assert lines[1].count(b'"') >= 4
    place = lines[1].rindex(b'"')
    lines[1] = lines[1][:place] + b" caf\xe9" + lines[1][place:]
    path.write_bytes(b"\n".join(lines))
    for flags in ((), ("--extra_keys=attribution",)):
        result = run(data, tmp_path / f"out{len(flags)}", *flags)
        assert result.code == 0, result.err
        assert result.manifest()["images"]["records"] == clean.manifest()["images"]["records"]


def test_no_traceback_from_a_process_of_its_own(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = table(data, BOXES)
    path.write_bytes(rename_column(path.read_bytes()))
    command = [
        sys.executable, "-m", "pipelines.convert", "--config=v3", "--split=train", f"--data_dir={data / '2017_11'}",
        f"--images={data}/images/train/{{image_id}}.jpg", f"--output_dir={tmp_path / 'out'}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_quote_that_is_never_closed_swallows_no_images(
    run: Callable[..., Converted], data: pathlib.Path, tmp_path: pathlib.Path, packed: bool
) -> None:
    import gzip

    path = table(data, IMAGES)
    rows = "".join(f"{number:016x},train,,,,,A,T,1,,\n" for number in range(60_000))
    text = path.read_text() + '00000000000fffff,train,,,,,A,"T,1,,\n' + rows
    path.write_text(text)
    if packed:
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(text.encode(), 1))
        path.unlink()
    result = run(data, tmp_path / "out", "--select=all")
    assert result.code == 1
    assert "a quoted field is not closed" in result.err
    assert "Traceback" not in result.err
