import io
import pathlib
import shutil

import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.splits import read_shard
from oi_tfrecord.explore.show import split_place
from tests.conftest import convert_arguments
from tests.support.optional import tensorflow as tf


@pytest.fixture(scope="module")
def shard(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output_dir = tmp_path_factory.mktemp("shown")
    assert main(["convert", *convert_arguments(sample, output_dir, "--num_shards=1", split="validation")]) == 0
    [path] = output_dir.glob("validation.tfrecord-*")
    return path


def test_a_record_is_printed_and_drawn(
    shard: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [tf.train.Example.FromString(data) for _, data in read_shard(str(shard))]
    features = records[3].features.feature
    png = tmp_path / "record.png"
    assert main(["show", f"{shard}:3", f"--png={png}"]) == 0
    out = capsys.readouterr().out
    assert f"{shard}: record 3 of {len(records)}" in out
    assert {line.split()[0] for line in out.splitlines()[1:]} == set(features)
    assert features["image/source_id"].bytes_list.value[0].decode() in out
    # Names come from the label map beside the shard.
    [line] = [line for line in out.splitlines() if line.startswith("image/object/class/text")]
    assert line.count("(") == len(features["image/object/class/text"].bytes_list.value)
    stored = Image.open(io.BytesIO(features["image/encoded"].bytes_list.value[0])).convert("RGB")
    drawn = Image.open(png)
    assert drawn.size == stored.size
    assert drawn.tobytes() != stored.tobytes()
    assert main(["show", str(shard)]) == 0
    assert f"record 0 of {len(records)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("a:7", ("a", 7)),
        ("a", ("a", 0)),
        ("gs://b/a", ("gs://b/a", 0)),
        ("gs://b/a:12", ("gs://b/a", 12)),
        ("C:x", ("C:x", 0)),
    ],
)
def test_a_place_is_a_path_and_a_number(place: str, expected: tuple[str, int]) -> None:
    assert split_place(place) == expected


def test_records_of_a_split_and_of_a_pattern_are_numbered_through(
    sample: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *convert_arguments(sample, tmp_path, split="validation")]) == 0
    shards = sorted(tmp_path.glob("validation.tfrecord-*"))
    counts = [len(list(read_shard(str(path)))) for path in shards]
    for place in (tmp_path / "validation", tmp_path / "validation.tfrecord-*"):
        capsys.readouterr()
        assert main(["show", f"{place}:{counts[0] + 1}"]) == 0
        assert f"{shards[1]}: record 1 of {counts[1]}," in capsys.readouterr().out
    assert main(["show", f"{tmp_path}/validation:{sum(counts)}"]) == 1
    assert f"it has {sum(counts)} records, the last is {sum(counts) - 1}" in capsys.readouterr().err


def test_what_cannot_be_shown_is_one_line(
    shard: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged"
    data = shard.read_bytes()
    damaged.write_bytes(b"\xff" + data[1:])
    short = tmp_path / "short"
    short.write_bytes(data[:-5])
    empty = tmp_path / "empty"
    empty.touch()
    plain = tmp_path / "plain"
    with tf.io.TFRecordWriter(str(plain)) as writer:
        writer.write(tf.train.Example().SerializeToString())
        writer.write(b"\xff\xff")
    bad_map = shutil.copy(shard, tmp_path / "bad_map")
    for arguments, problem in (
        ([f"{shard}:999"], "has no record 999: it has"),
        ([str(empty)], "it has no record"),
        ([str(tmp_path / "none")], "is no shard, no split and no pattern of shards"),
        ([str(damaged)], "CRC of the length"),
        ([str(short)], "cut off"),
        ([f"{plain}:1"], "not a tf.train.Example"),
        ([str(plain), f"--png={tmp_path / 'x.png'}"], "no image to draw on"),
        ([str(bad_map), f"--label_map={shard}"], "UTF-8"),
        ([str(shard), f"--png={tmp_path / 'none' / 'x.png'}"], "No such file"),
        ([str(shard), "--nonsense"], "nonsense"),
    ):
        assert main(["show", *arguments]) == 1, arguments
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert problem in line
