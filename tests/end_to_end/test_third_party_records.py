"""Records as the Object Detection API's own converter leaves them: no sizes of images, a split in one file."""

import pathlib

import numpy as np
import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.derive.relabel import encode_values
from oi_tfrecord.explore.browse.search_rows import make_search_rows
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.tfrecord import frame
from tests.conftest import convert_arguments

WRITTEN_BY_THE_API = (
    "image/encoded", "image/filename", "image/source_id", "image/class/label", "image/class/text",
)  # fmt: skip


@pytest.fixture(scope="module")
def ours(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("third_party") / "ours"
    assert main(["convert", *convert_arguments(sample, folder, "--num_shards=1", "--max_images=9")]) == 0
    return folder


@pytest.fixture(params=["train.record", "train.tfrecord", "train.record-00000-of-00001"])
def theirs(request: pytest.FixtureRequest, ours: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "label_map.pbtxt").write_bytes((ours / "label_map.pbtxt").read_bytes())
    pieces = []
    for _, data in records_of(ours):
        example = parse_example(data)
        kept = {
            key: values
            for key, values in example.items()
            if key in WRITTEN_BY_THE_API or key.startswith("image/object/")
        }
        data = encode_values({key: values for key, values in kept.items() if key != "image/object/area"})
        header, footer = frame([data])
        pieces.append(header + data + footer)
    (folder / request.param).write_bytes(b"".join(pieces))
    return folder


def records_of(folder: pathlib.Path) -> list[tuple[int, bytes]]:
    return [record for shard in find_splits(str(folder), ["train"])["train"].shards for record in read_shard(shard)]


def test_both_readers_for_training_give_the_size_of_the_image(ours: pathlib.Path, theirs: pathlib.Path) -> None:
    expected = list(oi_tfrecord.RecordDataset(str(ours), "train"))
    sizes = [(int(values["height"]), int(values["width"])) for values in expected]
    for decode in (True, False):
        read = oi_tfrecord.RecordDataset(str(theirs), "train", decode=decode)
        loaded = list(oi_tfrecord.load(str(theirs), "train", decode=decode).as_numpy_iterator())
        assert len(read) == len(loaded) == len(expected)
        for values in (list(read), loaded):
            assert [(int(value["height"]), int(value["width"])) for value in values] == sizes
            assert [value["labels"].tolist() for value in values] == [value["labels"].tolist() for value in expected]


def test_the_other_readers_do_so_too(
    ours: pathlib.Path, theirs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(theirs)]) == 0
    (of_ours,) = oi_tfrecord.report(oi_tfrecord.ReportOptions(str(ours), output="-", format="json")).splits
    (of_theirs,) = oi_tfrecord.report(oi_tfrecord.ReportOptions(str(theirs), output="-", format="json")).splits
    for name in ("box_sides", "box_areas", "image_sizes", "long_sides"):
        assert getattr(of_theirs, name) == getattr(of_ours, name)
    rows, expected = (make_search_rows(records_of(folder), {}) for folder in (theirs, ours))
    assert np.array_equal(rows.sizes, expected.sizes)
    oi_tfrecord.export(oi_tfrecord.ExportOptions(str(theirs), to=str(tmp_path / "tables")))
    capsys.readouterr()
    [shard] = find_splits(str(theirs))["train"].shards
    assert main(["show", shard]) == 0
    assert "record 0 of 9" in capsys.readouterr().out
