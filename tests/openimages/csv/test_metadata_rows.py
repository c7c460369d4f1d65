import csv
import gzip
import io
import pathlib
import tracemalloc

import pytest

from oi_tfrecord.openimages.csv import files as inputs
from oi_tfrecord.openimages.csv import metadata_rows
from oi_tfrecord.openimages.csv.files import InputFile, open_table
from oi_tfrecord.openimages.csv.metadata_rows import stream_metadata
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject

REAL = pathlib.Path(__file__).parents[4] / "shared" / "data" / "real" / "v3_official" / "images" / "2017_11"
HEADER = "ImageID,Subset,OriginalURL,Title\n"


def open_text(tmp_path: pathlib.Path, data: bytes, name: str = "images.csv") -> InputFile:
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return open_table(Table.METADATA, (name,), str(tmp_path), "")[0]


@pytest.mark.parametrize("name", ["images.csv", "images.csv.gz"])
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_gives_rows_lines_and_faults_in_file_order(
    tmp_path: pathlib.Path, name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata_rows, "_BLOCK_BYTES", block)
    text = HEADER.encode() + (
        b'0000000000000001,train,http://x/1.jpg,"Two\nlines, ""quoted"""\n'
        b"not an id,train,http://x/2.jpg,b\n"
        b"\n"
        b"0000000000000003,train,http://x/3.jpg,caf\xe9 \xe5\xb1\xb1\n"
        b"0000000000000004,train\n"
    )
    file = open_text(tmp_path, text, name)
    rows = list(stream_metadata(file, file.names))
    assert [row.line for row in rows] == [2, 4, 6, 7]
    assert [row.image_id for row in rows] == ["0000000000000001", "", "0000000000000003", ""]
    assert [row.reject and row.reject.reason for row in rows] == [
        None, Reject.BAD_IMAGE_ID, None, Reject.MALFORMED_ROW,
    ]  # fmt: skip
    assert rows[0].fields == {
        "ImageID": "0000000000000001",
        "Subset": "train",
        "OriginalURL": "http://x/1.jpg",
        "Title": 'Two\nlines, "quoted"',
    }
    assert rows[2].fields["Title"].encode("utf-8", "surrogateescape") == b"caf\xe9 \xe5\xb1\xb1"


def test_only_the_named_columns_are_returned(tmp_path: pathlib.Path) -> None:
    file = open_text(tmp_path, HEADER.encode() + b"0000000000000001,train,http://x/1.jpg,a\n")
    (row,) = stream_metadata(file, ["OriginalURL"])
    assert row.fields == {"OriginalURL": "http://x/1.jpg"}
    assert row.image_id == "0000000000000001"


def test_no_rows(tmp_path: pathlib.Path) -> None:
    file = open_text(tmp_path, HEADER.encode())
    assert list(stream_metadata(file, file.names)) == []


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_equals_the_csv_module_on_published_rows(split: str) -> None:
    path = REAL / split / "images.csv"
    if not path.exists():
        pytest.skip("the published rows are not here")
    (file,) = open_table(Table.METADATA, ("images.csv",), str(path.parent), "")
    with open(path, newline="", encoding="utf-8") as stream:
        expected = list(csv.DictReader(stream))
    rows = list(stream_metadata(file, file.names))
    assert [row.fields for row in rows] == expected
    assert [row.image_id for row in rows] == [fields["ImageID"] for fields in expected]


def test_memory_does_not_grow_with_the_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_rows, "_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(inputs, "_CHUNK_BYTES", 1 << 16)

    def peak(count: int) -> int:
        text = io.StringIO()
        text.write(HEADER)
        for number in range(count):
            text.write(f"{number:016x},train,http://example.com/{'long/' * 20}{number}.jpg,title\n")
        file = open_text(tmp_path, text.getvalue().encode())
        tracemalloc.start()
        assert sum(1 for _ in stream_metadata(file, file.names)) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(60_000) < 1.5 * peak(6_000)
