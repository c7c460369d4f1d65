import itertools
import pathlib
import shutil
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oi_tfrecord import storage
from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.splits import find_records
from oi_tfrecord.explore.export import parquet as parquet_target
from oi_tfrecord.explore.export.parquet import ParquetTarget
from oi_tfrecord.explore.export.tables import CLASSES, SCHEMAS, make_tables
from tests.support import small_release
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.optional import duckdb, pandas

FILES = {"classes.parquet", *(f"{table}/{split}.parquet" for table in SCHEMAS for split in ("train", "validation"))}


def test_files_are_typed_and_sorted_and_read_by_pandas_and_duckdb(
    exportable: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(exportable), f"--to={tmp_path}"]) == 0
    assert "train: 42 images, 114 boxes" in capsys.readouterr().out
    assert set(small_release.dataset(tmp_path)) == FILES
    assert pq.read_schema(tmp_path / "classes.parquet").equals(CLASSES)
    for table, schema in SCHEMAS.items():
        assert pq.read_schema(tmp_path / table / "train.parquet").equals(schema)
        keys = [name for name in ("image_id", "number") if name in schema.names]
        rows = pq.read_table(tmp_path / table / "train.parquet").select(keys).to_pylist()
        assert rows == sorted(rows, key=lambda row: tuple(row.values()))
    frame = pandas.read_parquet(tmp_path / "boxes")
    assert (len(frame), str(frame["x_min"].dtype), frame["split"].nunique()) == (114 + 24, "float32", 2)
    [(count, average)] = duckdb.sql(f"SELECT count(*), avg(x_max) FROM '{tmp_path}/boxes/*.parquet'").fetchall()
    assert count == len(frame)
    assert average == pytest.approx(frame["x_max"].astype("f8").mean())


def test_the_bytes_are_the_same_again_and_do_not_depend_on_shards(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small enough that row groups span shards.
    monkeypatch.setattr(parquet_target, "ROW_GROUP_ROWS", 10)
    written = []
    for shards in (1, 5):
        assert run(sample, tmp_path / f"of{shards}", f"--num_shards={shards}").code == 0
        for again in "ab":
            folder = tmp_path / f"tables{shards}{again}"
            assert main(["export", str(tmp_path / f"of{shards}"), f"--to={folder}"]) == 0
            written.append(small_release.dataset(folder))
    assert written[0] == written[1]
    assert written[2] == written[3]
    # Of the images, the columns that say where they are differ.
    for name in ("boxes/train.parquet", "image_labels/train.parquet", "classes.parquet"):
        assert written[0][name] == written[2][name]
    metadata = pq.read_metadata(tmp_path / "tables5a" / "boxes" / "train.parquet")
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [10] * 11 + [4]
    ranges = [(group.column(1).statistics.min, group.column(1).statistics.max) for group in groups]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))


def test_a_failure_leaves_the_files_as_they_were(
    exportable: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(exportable), f"--to={tmp_path / 'tables'}"]) == 0
    before = small_release.dataset(tmp_path / "tables")
    damaged = tmp_path / "damaged"
    shutil.copytree(exportable, damaged)
    shard = sorted(damaged.glob("validation.tfrecord-*"))[-1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-3])
    assert main(["export", str(damaged), f"--to={tmp_path / 'tables'}"]) == 1
    assert shard.name in capsys.readouterr().err
    # Found only when the split is complete: an image twice.
    [offset, length] = find_records(str(exportable / shard.name)).tolist()[0]
    shard.write_bytes(whole + whole[offset - 12 : offset + length + 4])
    assert main(["export", str(damaged), f"--to={tmp_path / 'tables'}"]) == 1
    assert "is in two records" in capsys.readouterr().err
    shard.unlink()
    assert main(["export", str(damaged), f"--to={tmp_path / 'tables'}"]) == 1
    assert "is missing, though the manifest" in capsys.readouterr().err
    assert small_release.dataset(tmp_path / "tables") == before


def test_one_split_is_replaced_and_the_classes_of_others_stay(exportable: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with ParquetTarget(str(tmp_path), None) as target:
        target.start_split("mine")
        target.add(make_tables("mine", "shard", [], None))
        target._found["/m/mine"] = 9
    assert main(["export", str(exportable), f"--to={tmp_path}", "--split=train"]) == 0
    before = small_release.dataset(tmp_path)
    assert set(before) == {name for name in FILES if "validation" not in name} | {
        f"{table}/mine.parquet" for table in SCHEMAS
    }
    classes = pq.read_table(tmp_path / "classes.parquet").to_pylist()
    assert {"mid": "/m/mine", "class_id": 9, "name": None} in classes
    assert {"mid": "/m/07j7r", "class_id": 1, "name": "Tree"} in classes
    for table in SCHEMAS:
        (tmp_path / table / "mine.parquet").unlink()
    assert main(["export", str(exportable), f"--to={tmp_path}", "--split=train"]) == 0
    assert "/m/mine" not in pq.read_table(tmp_path / "classes.parquet")["mid"].to_pylist()


def test_remote_folders_get_the_same_bytes(exportable: pathlib.Path, tmp_path: pathlib.Path) -> None:
    MemoryFileSystem.files.clear()
    assert main(["export", str(exportable), f"--to={tmp_path}"]) == 0
    assert main(["export", str(exportable), "--to=memory://bucket/tables"]) == 0
    local = small_release.dataset(tmp_path)
    assert {name: storage.read(f"memory://bucket/tables/{name}") for name in local} == local
    assert len(MemoryFileSystem.files) == len(local)


def test_a_split_without_boxes_is_an_empty_table(tmp_path: pathlib.Path) -> None:
    with ParquetTarget(str(tmp_path), None) as target:
        target.start_split("none")
        target.add(make_tables("none", "shard", [b""], None))
    assert pq.read_table(tmp_path / "images" / "none.parquet").num_rows == 1
    boxes = pq.read_table(tmp_path / "boxes" / "none.parquet")
    assert (boxes.num_rows, boxes.schema) == (0, SCHEMAS["boxes"])
    assert isinstance(boxes, pa.Table)
