import os
import pathlib
import subprocess
import sys

import pytest

from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.export import frames
from oi_tfrecord.explore.export.frames import TABLES, make_frame
from oi_tfrecord.explore.export.tables import SCHEMAS, make_tables
from oi_tfrecord.explore.export.write_tables import ExportOptions, export
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.support import small_release
from tests.support.few_records import boxes, image, make_example, write_shard
from tests.support.optional import pandas

ITEMS = (LabelMapItem(1, "/m/a", "Apple"), LabelMapItem(2, "/m/b", "Apple"), LabelMapItem(3, "/m/c", "Zebra"))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Records in two shards: the second image has two boxes, the first one."""
    first = make_example(**image(image_id="00000000000000bb"), **boxes((0, 0, 1, 1), mids=("/m/c",)))
    second = make_example(
        **image(image_id="00000000000000aa"), **boxes((0, 0, 0.5, 1), (0, 0, 1, 0.25), mids=("/m/b", "/m/a"))
    )
    write_shard(tmp_path / "records" / "train.tfrecord-00000-of-00002", [first])
    write_shard(tmp_path / "records" / "train.tfrecord-00001-of-00002", [second])
    (tmp_path / "records" / "label_map.pbtxt").write_text(format_pbtxt(LabelMap(ITEMS)))
    return tmp_path


def test_frames_have_the_columns_of_the_export_and_names_of_classes(folder: pathlib.Path) -> None:
    records = RecordDataset(str(folder / "records"), "train")
    for table, exported in TABLES.items():
        frame = records.to_pandas(table)
        assert [name for name in frame.columns if name != "name"] == SCHEMAS[exported].names
    frame = records.to_pandas("boxes")
    assert frame["image_id"].tolist() == ["00000000000000aa", "00000000000000aa", "00000000000000bb"]
    assert frame["number"].tolist() == [0, 1, 0]
    assert frame["mid"].tolist() == ["/m/b", "/m/a", "/m/c"]
    assert frame["name"].tolist() == ["Apple", "Apple", "Zebra"]
    assert frame["name"].value_counts().to_dict() == {"Apple": 2, "Zebra": 1}
    assert {name: str(frame[name].dtype) for name in ("name", "mid", "x_max", "group_of", "number")} == {
        "name": "category", "mid": "category", "x_max": "float32", "group_of": "boolean", "number": "int32"
    }  # fmt: skip
    assert frame["x_max"].tolist() == [1, 0.25, 1]
    assert frame["source"].isna().all()
    assert records.to_pandas("images")["width"].tolist() == [640, 640]
    assert len(records.to_pandas("labels")) == 0


def test_exported_files_that_belong_to_the_records_are_read(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = RecordDataset(str(folder / "records"), "train")
    read = {table: records.to_pandas(table) for table in TABLES}
    export(ExportOptions(str(folder / "records"), str(folder / "tables")))
    monkeypatch.delattr(frames, "_read_records")
    for table, frame in read.items():
        pandas.testing.assert_frame_equal(records.to_pandas(table), frame)
    os.rename(folder / "tables", folder / "elsewhere")
    pandas.testing.assert_frame_equal(records.to_pandas("boxes", str(folder / "elsewhere")), read["boxes"])


def test_exported_files_of_other_records_are_not_read(folder: pathlib.Path) -> None:
    records = RecordDataset(str(folder / "records"), "train")
    tables = str(folder / "tables")
    with pytest.raises(InputError, match="no tables of the split 'train'"):
        records.to_pandas("boxes", tables)
    export(ExportOptions(str(folder / "records"), tables))
    other = make_example(**image(image_id="00000000000000cc"), **boxes(mids=()))
    for shard in find_splits(str(folder / "records"))["train"].shards:
        write_shard(pathlib.Path(shard), [other])
    later = (folder / "tables" / "boxes" / "train.parquet").stat().st_mtime + 10
    for shard in find_splits(str(folder / "records"))["train"].shards:
        os.utime(shard, (later, later))
    with pytest.raises(InputError, match="older than the records"):
        records.to_pandas("boxes", tables)
    for shard in find_splits(str(folder / "records"))["train"].shards:
        os.utime(shard, (0, 0))
    with pytest.raises(InputError, match="other images"):
        records.to_pandas("boxes", tables)
    assert len(RecordDataset(str(folder / "records"), "train").to_pandas("boxes")) == 0


def test_a_slice_has_no_frame_of_its_own(folder: pathlib.Path) -> None:
    records = RecordDataset(str(folder / "records"), "train")
    with pytest.raises(ConfigError, match="whole split"):
        records[:1].to_pandas("boxes")
    assert len(records[:].to_pandas("boxes")) == 3


def test_an_unknown_table_is_named(folder: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="'classes' is none of images, boxes, labels"):
        RecordDataset(str(folder / "records"), "train").to_pandas("classes")


def test_nulls_and_classes_without_a_name_are_kept() -> None:
    record = make_example(**boxes((0, 0, 1, 1), mids=("/m/unknown",)))
    tables = make_tables("train", "shard", [record], None).tables
    frame = make_frame(tables["boxes"], {})
    assert frame["name"].tolist() == ["/m/unknown"]
    assert frame["group_of"].isna().all()
    assert frame["confidence"].isna().all()
    images = make_frame(tables["images"], {})
    assert images["width"].isna().all()
    assert images["sha256"].isna().all()


def test_frames_are_made_where_arrow_does_not_find_pandas(folder: pathlib.Path) -> None:
    program = (
        "from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow; keep_pandas_from_arrow()\n"
        "import oi_tfrecord\n"
        f"print(len(oi_tfrecord.RecordDataset({str(folder / 'records')!r}, 'train').to_pandas('boxes')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=small_release.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "3\n"
