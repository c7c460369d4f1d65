import json
import pathlib
import shutil

import pytest

from oi_tfrecord.derive.plan import Source, find_sources, make_fingerprint
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

OPTIONS = {"command": "resample", "cap": 3, "num_shards": 0}


@pytest.fixture(scope="module")
def source(exportable: pathlib.Path) -> Source:
    return find_sources(str(exportable), ["train"])["train"]


def test_a_source_knows_its_folder_and_the_keys_of_its_records(source: Source, exportable: pathlib.Path) -> None:
    assert (source.path, source.split.name) == (str(exportable), "train")
    assert source.size == sum(path.stat().st_size for path in exportable.glob("train.tfrecord-*"))
    assert {"image/encoded", "image/machine_class/label", "image/attribution/author"} <= source.read_keys()
    assert find_sources(str(exportable)).keys() == {"train", "validation"}


@pytest.mark.parametrize(
    ("file", "problem"), [("label_map.pbtxt", "there is no label_map.pbtxt"), ("manifest.json", "no manifest names")]
)
def test_records_without_label_map_or_manifest_are_refused(
    exportable: pathlib.Path, tmp_path: pathlib.Path, file: str, problem: str
) -> None:
    folder = shutil.copytree(exportable, tmp_path / "records")
    (folder / file).unlink()
    with pytest.raises(InputError, match=problem):
        find_sources(str(folder), ["train"])


def test_a_fingerprint_changes_with_options_label_map_and_records(source: Source) -> None:
    first = make_fingerprint([source], OPTIONS, source.label_map)
    assert json.loads(json.dumps(first)) == first
    other_map = LabelMap((*source.label_map.items, LabelMapItem(9999, "/m/new", "New")))
    for other in (
        make_fingerprint([source], OPTIONS | {"cap": 4}, source.label_map),
        make_fingerprint([source], OPTIONS, other_map),
        make_fingerprint([source, source], OPTIONS, source.label_map),
    ):
        assert other != first
