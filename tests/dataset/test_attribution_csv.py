import csv
import hashlib
import io
import pathlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.dataset.attribution_csv import (
    COLUMNS,
    format_attribution,
    format_attribution_header,
    name_fields,
    parse_row,
    split_rows,
    warn_of_lacking,
)
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.storage.csv_text import as_text, format_csv_line
from tests.end_to_end.test_resume import kill_everywhere
from tests.support import small_release
from tests.support.dataset_rows import read_rows
from tests.support.optional import duckdb, pandas
from tests.support.optional import tensorflow as tf
from tests.support.small_release import convert

HEADER = ["ImageID", "Title", "Author", "AuthorProfileURL", "OriginalLandingURL", "License"]


def shard_of(texts: dict[str, list[bytes]], count: int) -> JoinedShard:
    columns = {name: pa.array(values, pa.binary()) for name, values in texts.items()}
    return JoinedShard(np.arange(count, dtype=np.uint64), {}, columns, [], {}, {}, 0, np.ones(count, bool))


def read_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def record_ids(output_dir: pathlib.Path, split: str = "train") -> list[str]:
    """Returns the ImageIDs in the order of the records, as TensorFlow reads them."""
    shards = [str(path) for path in sorted(output_dir.glob(f"{split}.tfrecord-*"))]
    key = {"image/source_id": tf.io.FixedLenFeature([], tf.string)}
    dataset = tf.data.TFRecordDataset(shards).map(lambda data: tf.io.parse_single_example(data, key))
    return [example["image/source_id"].numpy().decode() for example in dataset]


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.booleans(), *[st.one_of(st.text(st.sampled_from('a,"\r\n =ä')), st.binary(max_size=4))] * len(COLUMNS)
        ),
        max_size=5,
    )
)
def test_every_text_is_read_back_in_utf_8_and_as_no_formula(rows: list[tuple]) -> None:
    values = [[text if isinstance(text, bytes) else text.encode() for text in row[1:]] for row in rows]
    shard = shard_of({name: [row[index] for row in values] for index, name in enumerate(COLUMNS)}, len(rows))
    has_record = np.array([row[0] for row in rows], bool)
    lines = read_csv(format_attribution_header() + format_attribution(shard, has_record))
    assert lines[0] == HEADER
    decoded = [[text.decode("utf-8", "replace") for text in row] for row in values]
    assert lines[1:] == [
        [f"{index:016x}", *map(as_text, row)] for index, row in enumerate(decoded) if has_record[index]
    ]


def test_a_column_that_the_metadata_lacks_is_empty_and_gives_a_warning() -> None:
    shard = shard_of({"Author": [b"Ada"]}, 1)
    assert read_csv(format_attribution(shard, np.ones(1, bool))) == [["0" * 16, "", "Ada", "", "", ""]]
    assert warn_of_lacking({"a.csv": HEADER}) == []
    [warning] = warn_of_lacking({"a.csv": HEADER, "b.csv": ["ImageID", "Title", "Author", "AuthorProfileURL"]})
    assert warning.startswith("b.csv has no column OriginalLandingURL, License")


@pytest.mark.parametrize("extra", [(), ("--extra_keys=attribution",)])
def test_one_row_per_record_in_their_order(
    extra: tuple[str, ...], sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable
) -> None:
    converted = run(sample, tmp_path / "out", "--attribution_csv", *extra)
    assert converted.code == 0
    path = tmp_path / "out" / "ATTRIBUTION-train.csv"
    assert str(path) in converted.out
    data = path.read_bytes()
    metadata = {row["ImageID"]: row for row in read_rows(sample / "2017_11" / "train" / "images.csv")}
    expected = [[as_text(metadata[image_id][name]) for name in HEADER] for image_id in record_ids(tmp_path / "out")]
    assert len(expected) == 42
    assert any("\n" in row[1] for row in expected)
    assert any("★" in row[1] for row in expected)
    assert read_csv(data) == [HEADER, *expected]
    assert converted.manifest()["attribution"] == {
        "file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    # As a user would read the file.
    assert pandas.read_csv(path, dtype=str).to_numpy().tolist() == expected
    read = duckdb.sql(f"SELECT * FROM read_csv('{path}', all_varchar = true, quote = '\"')").fetchall()
    assert [list(row) for row in read] == expected


def test_the_file_depends_neither_on_shards_nor_on_workers(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable
) -> None:
    written = set()
    for name, flags in {"a": ("--num_shards=1",), "b": ("--num_shards=7", "--workers=2")}.items():
        assert run(sample, tmp_path / name, "--attribution_csv", *flags).code == 0
        written.add((tmp_path / name / "ATTRIBUTION-train.csv").read_bytes())
    assert len(written) == 1


def test_images_without_a_record_have_no_row_and_overwrite_removes_the_file(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=20)
    assert convert(release.flags(tmp_path / "out", workers=1, attribution_csv="true")) == 0
    path = tmp_path / "out" / "ATTRIBUTION-train.csv"
    listed = [row[0] for row in read_csv(path.read_bytes())[1:]]
    assert listed == record_ids(tmp_path / "out")
    assert set(listed) == set(release.image_ids) - set(release.broken.values())
    assert convert(release.flags(tmp_path / "out", workers=1, overwrite="true")) == 0
    assert not path.exists()


def test_killed_before_any_rename_a_rerun_gives_the_same(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=8)
    flags = {"num_shards": 2, "workers": 1, "attribution_csv": "true"}
    assert convert(release.flags(tmp_path / "undisturbed", **flags)) == 0
    undisturbed = small_release.dataset(tmp_path / "undisturbed")
    assert "ATTRIBUTION-train.csv" in undisturbed
    (tmp_path / "empty").mkdir()
    again = release.flags("{output_dir}", **flags)
    points = kill_everywhere("replace", tmp_path / "empty", tmp_path / "killed", "", again, again)
    assert points.pop() == ["end", "", 0]
    for name in ("part-00001.csv", "ATTRIBUTION-train.csv"):
        assert any(name in path for _, path, _ in points)
    for number, (_, path, code) in enumerate(points, 1):
        assert code == 0, path
        assert small_release.dataset(tmp_path / "killed" / str(number)) == undisturbed, path


def test_the_file_needs_metadata(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> None:
    flags = ("--attribution_csv", "--driver=boxes", "--metadata=nowhere.csv")
    converted = run(sample, tmp_path / "out", *flags)
    assert converted.code == 1
    assert "nowhere.csv" in converted.err
    converted = run(sample, tmp_path / "out", "--attribution_csv", "--driver=boxes", "--metadata= ")
    assert converted.code == 1


def test_a_dry_run_writes_no_attribution(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> None:
    assert run(sample, tmp_path / "out", "--attribution_csv", "--dry_run").code == 0
    assert not list((tmp_path / "out").rglob("ATTRIBUTION*"))


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=4), max_size=8))
def test_rows_are_found_with_their_offsets(rows: list[list[str]]) -> None:
    data = "".join(format_csv_line(row) for row in rows).encode()
    found = list(split_rows(io.BytesIO(data)))
    assert [parse_row(row) for _, row in found] == rows
    assert [data[offset : offset + len(row)] for offset, row in found] == [row for _, row in found]


def test_a_file_that_is_cut_off_within_quotes_ends() -> None:
    assert [row for _, row in split_rows(io.BytesIO(b'a,b\nc,"d\ne'))] == [b"a,b\n", b'c,"d\ne']


def test_facts_are_named_by_their_columns() -> None:
    row = ["0" * 16, "A title", "", "https://profile", "https://landing", "CC"]
    assert name_fields(HEADER, row) == {
        "title": "A title", "profile_url": "https://profile", "landing_url": "https://landing", "license": "CC"
    }  # fmt: skip
    assert name_fields(HEADER, row[:2]) == {"title": "A title"}
    assert name_fields([], row) == {}


def test_an_empty_row_has_no_fields() -> None:
    assert parse_row(b"") == []
