import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.dataset.splits import read_record
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.errors import InputError
from oi_tfrecord.explore.browse import index_files
from oi_tfrecord.explore.browse.class_list import ClassList
from oi_tfrecord.explore.browse.index_files import FOLDER, open_index
from oi_tfrecord.explore.browse.query import Query, find_images
from oi_tfrecord.records.example_reader import parse_example
from tests.support.few_records import boxes, image, make_example, write_shard

WHOLE = (0.0, 0.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def records(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "records"
    for split, count in (("train", 5), ("validation", 2)):
        examples = [
            make_example(**image(image_id=f"{split}{number}"), **boxes(*[WHOLE] * number, mids=["/m/a"] * number))
            for number in range(count)
        ]
        write_shard(folder / f"{split}.tfrecord-00000-of-00002", examples[:1])
        write_shard(folder / f"{split}.tfrecord-00001-of-00002", examples[1:])
    return folder


def open_quietly(folder: pathlib.Path, index_dir: str = "") -> Any:
    return open_index(str(folder), index_dir, 1, NoProgress())


def test_every_record_is_found_by_its_place(records: pathlib.Path) -> None:
    index = open_quietly(records)
    assert index.splits == ("train", "validation")
    ids = []
    for number in range(index.records):
        shard, offset, length = index.place_of(number)
        example = parse_example(read_record(str(records / shard), offset, length))
        assert example["image/source_id"] == [index.id_of(number).encode()]
        ids.append(index.id_of(number))
    assert ids == [f"train{number}" for number in range(5)] + ["validation0", "validation1"]


def test_the_index_is_made_once(records: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = open_quietly(records)
    assert (records / FOLDER / "index.json").exists()
    monkeypatch.setattr(index_files, "_build", None)
    again = open_quietly(records)
    assert {name: array.tolist() for name, array in again.arrays.items()} == {
        name: array.tolist() for name, array in made.arrays.items()
    }
    assert find_images(again, ClassList(again, {}, {}), Query(min_boxes=3)).tolist() == [3, 4]


def test_an_index_that_came_with_the_records_is_not_believed(records: pathlib.Path, cache: pathlib.Path) -> None:
    open_quietly(records)
    path = records / FOLDER / "index.json"
    path.write_text(path.read_text().replace("train", "trial"))
    assert open_quietly(records).splits == ("train", "validation")
    shutil.rmtree(cache)
    path.write_text(path.read_text().replace("train", "trial"))
    assert open_quietly(records).splits == ("train", "validation")


def test_large_arrays_are_mapped(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "many"
    write_shard(folder / "train-00000-of-00001", [make_example(**image(image_id=f"{n:016x}")) for n in range(2000)])
    open_quietly(folder)
    assert isinstance(open_quietly(folder).arrays["image_id"], np.memmap)


@pytest.mark.parametrize("change", ["shard", "label map", "attribution"])
def test_another_dataset_gets_another_index(records: pathlib.Path, change: str) -> None:
    open_quietly(records)
    before = (records / FOLDER / "index.json").stat().st_ino
    if change == "shard":
        write_shard(records / "train.tfrecord-00000-of-00002", [make_example(**image(image_id="new"))] * 2)
    elif change == "label map":
        (records / "label_map.pbtxt").write_text('item { name: "/m/a" id: 1 }')
    else:
        (records / "ATTRIBUTION-train.csv").write_text("ImageID,Title\ntrain3,Three\n")
    index = open_quietly(records)
    assert (records / FOLDER / "index.json").stat().st_ino != before
    assert index.records == (8 if change == "shard" else 7)


def test_a_damaged_index_is_made_anew(records: pathlib.Path) -> None:
    open_quietly(records)
    (records / FOLDER / "offset.npy").write_bytes(b"\x93NUMPY damaged")
    assert open_quietly(records).place_of(6)[0] == "validation.tfrecord-00001-of-00002"
    about = records / FOLDER / "index.json"
    about.write_text(json.dumps({"format": "another"}))
    assert open_quietly(records).records == 7


def test_the_rows_of_attribution_are_found(records: pathlib.Path) -> None:
    header = "ImageID,Title,Author\r\n"
    rows = ['train3,"Three,\r\n ""really""",Ann\r\n', "other,x,y\r\n", "train0,Zero,Bob"]
    (records / "ATTRIBUTION-train.csv").write_bytes((header + "".join(rows)).encode())
    places = open_quietly(records).arrays["attribution"].tolist()
    assert places[3] == [len(header), len(rows[0])]
    assert places[0] == [len(header) + len(rows[0]) + len(rows[1]), len(rows[2])]
    assert [place for place in places if place != [-1, -1]] == [places[0], places[3]]


def test_a_folder_that_cannot_be_written_has_its_index_in_the_cache(
    records: pathlib.Path, cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so a file stands in the way.
    (records / FOLDER).write_text("mine")
    assert open_quietly(records).records == 7
    assert (records / FOLDER).read_text() == "mine"
    [folder] = [path for path in (cache / "oi_tfrecord").iterdir() if path.name != "made"]
    assert (folder / "index.json").exists()
    monkeypatch.setattr(index_files, "_build", None)
    assert open_quietly(records).records == 7


def test_a_folder_that_is_no_index_is_left_alone(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    with pytest.raises(InputError, match="cannot hold the index"):
        open_quietly(records, str(tmp_path / "mine"))
    assert os.listdir(tmp_path / "mine") == ["notes"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_folder_with_an_index_of_another_program_is_left_alone(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.json").write_text('{"name": "my project"}')
    (site / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="no index of the browser"):
        open_quietly(records, str(site))
    assert {path.name for path in site.iterdir()} == {"index.json", "thesis.txt"}
    open_quietly(records, str(tmp_path / "index"))
    (tmp_path / "index" / "notes.txt").write_text("mine")
    os.utime(next(records.glob("*-of-*")), (1, 1))
    with pytest.raises(InputError, match="no index of the browser"):
        open_quietly(records, str(tmp_path / "index"))
    assert (tmp_path / "index" / "notes.txt").exists()


def test_shards_outside_the_folder_are_refused(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write_shard(tmp_path / "secret-00000-of-00001", [make_example(**image(image_id="secret"))])
    entry = {"shards": [{"file": "../secret-00000-of-00001"}]}
    (records / "manifest.json").write_text(json.dumps({"splits": {"secret": entry}}))
    with pytest.raises(InputError, match="is no file of"):
        open_quietly(records)
