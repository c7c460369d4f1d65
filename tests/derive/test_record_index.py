import io
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.dataset.splits import find_records, find_splits
from oi_tfrecord.derive.record_index import IndexFolder, find_classes, index_shard
from oi_tfrecord.derive.relabel import encode_values
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.tfrecord import frame, read_records


def shards(folder: pathlib.Path, split: str = "train") -> list[pathlib.Path]:
    return [pathlib.Path(path) for path in find_splits(str(folder), [split])[split].shards]


@pytest.fixture
def shard(exportable: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copy(shards(exportable)[1], tmp_path))


def write(path: pathlib.Path, records: list[bytes]) -> None:
    path.write_bytes(b"".join(frame([data])[0] + data + frame([data])[1] for data in records))


def test_an_index_says_where_records_are_and_what_they_hold(shard: pathlib.Path) -> None:
    seen: list[int] = []
    index, counts = index_shard(str(shard), "boxes", lambda records, size: seen.append(records))
    examples: list[dict[str, Any]] = [parse_example(data) for _, data in read_records(io.BytesIO(shard.read_bytes()))]
    expected = RecordCounts()
    for example in examples:
        expected.add(example)
    assert counts == expected
    assert seen == list(range(1, len(examples) + 1))
    assert [f"{image_id:016x}".encode() for image_id in index.image_ids.tolist()] == [
        example["image/source_id"][0] for example in examples
    ]
    places = find_records(str(shard))
    assert index.offsets.tolist() == (places[:, 0] - 12).tolist()
    assert index.lengths.tolist() == places[:, 1].tolist()
    assert index.rows.sum(axis=0).tolist() == [counts.boxes, counts.labels, counts.machine_labels]
    for number, example in enumerate(examples):
        own = index.class_ids[index.class_starts[number] : index.class_starts[number + 1]]
        assert own.tolist() == (sorted(set(example["image/object/class/label"].tolist())) or [0])


def test_classes_are_those_of_boxes_or_of_positive_labels() -> None:
    features: dict[str, Any] = {
        "image/object/class/label": np.array([4, 2, 4], np.int64),
        "image/class/label": np.array([9, 3, 1], np.int64),
        "image/class/confidence": np.array([1, 0, 0.5], np.float32),
    }
    assert find_classes(features, "boxes") == [2, 4]
    assert find_classes(features, "labels") == [1, 9]
    assert find_classes({}, "boxes") == find_classes({}, "labels") == []


def test_a_stored_index_is_read_back(shard: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = IndexFolder(str(tmp_path), str(tmp_path))
    index, counts = index_shard(str(shard), "labels")
    assert not folder.has(0, 1)
    folder.write(0, 1, index, counts)
    assert folder.has(0, 1)
    for name, values in vars(folder.read(0, 1)).items():
        assert np.array_equal(values, getattr(index, name))
        assert values.dtype == getattr(index, name).dtype
    assert folder.read_counts(0, 1) == counts
    assert folder.read_selection(0, 1, 11).all()
    kept = np.arange(11) % 3 == 1
    folder.write_selection(0, 1, kept)
    assert np.array_equal(folder.read_selection(0, 1, 11), kept)


def test_an_empty_shard_has_an_empty_index(shard: pathlib.Path) -> None:
    shard.write_bytes(b"")
    index, counts = index_shard(str(shard), "boxes")
    assert (len(index.image_ids), index.class_starts.tolist(), counts.records) == (0, [0], 0)


def test_a_shard_that_convert_did_not_write_is_named(exportable: pathlib.Path, shard: pathlib.Path) -> None:
    records = [data for _, data in read_records(io.BytesIO(shard.read_bytes()))]
    without_name = parse_example(records[0]) | {"image/filename": [b"a/cat.jpg"]}
    wrong = {
        "hash order": records[::-1],
        "twice": [records[0], records[0]],
        "names no ImageID": [encode_values(without_name)],
        "of another shard": [data for _, data in read_records(io.BytesIO(shards(exportable)[0].read_bytes()))],
        "not a tf.train.Example": [b"\xff\xff"],
    }
    for problem, changed in wrong.items():
        write(shard, changed)
        with pytest.raises(InputError, match=problem) as raised:
            index_shard(str(shard), "boxes")
        assert raised.value.path == str(shard)
