"""The command on the generated sample, whole and damaged, and on third-party records."""

import csv
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.tfrecord import read_records
from tests.conftest import REPOSITORY, convert_arguments
from tests.support.optional import tensorflow as tf

Verify = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def whole(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output_dir = tmp_path_factory.mktemp("whole")
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(sample, output_dir, split=split)]) == 0
    return output_dir


@pytest.fixture
def copied(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(whole, tmp_path / "records"))


@pytest.fixture
def run_verify(capfd: pytest.CaptureFixture[str]) -> Verify:
    def run(folder: pathlib.Path, *flags: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = main(["verify", str(folder), "--format=json", *flags])
        return code, json.loads(capfd.readouterr().out)

    return run


def kinds(report: dict[str, Any]) -> dict[str, int]:
    return report["faults_by_kind"]


@pytest.mark.parametrize("flags", [(), ("--decode", "--workers=2"), ("--split=validation",)])
def test_a_whole_dataset_has_no_fault(whole: pathlib.Path, run_verify: Verify, flags: tuple[str, ...]) -> None:
    code, report = run_verify(whole, *flags)
    assert (code, report["ok"], report["faults"]) == (0, True, [])
    manifest = json.loads((whole / "manifest.json").read_text())["splits"]
    assert list(report["splits"]) == (["validation"] if "--split=validation" in flags else ["train", "validation"])
    for name, split in report["splits"].items():
        assert split["records"] == manifest[name]["images"]["records"]
        assert split["boxes"] == manifest[name]["tables"]["boxes"]["written"]
        keys = {row["key"]: row for row in split["keys"]}
        assert keys["image/encoded"]["records"] == split["records"]
        # The sample's training boxes have no flags, as those of V3.
        assert keys["image/object/group_of"]["records"] == (split["records"] if name == "validation" else 0)
        assert keys["image/object/source"]["readers"] == ["ours"]


def test_the_text_names_shard_record_byte_image_and_key(
    copied: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shard = sorted(copied.glob("validation.tfrecord-*"))[1]
    (_, _), (offset, second), *_ = read_records(io.BytesIO(shard.read_bytes()))
    digest = parse_example(second)["image/key/sha256"]
    assert isinstance(digest, list)
    changed = second.replace(digest[0], b"0" * 64)
    header, footer = _frame(changed)
    data = shard.read_bytes()
    shard.write_bytes(data[:offset] + header + changed + footer + data[offset + len(changed) + 16 :])
    assert main(["verify", str(copied), "--split=validation"]) == 1
    out = capfd.readouterr().out
    image_id = parse_example(second)["image/source_id"]
    assert isinstance(image_id, list)
    where = f"fault: {shard.name}, record 1 at byte {offset}, {image_id[0].decode()}, image/key/sha256: image_sha256:"
    assert where in out
    assert "2 faults: image_sha256 1, shard_crc32c 1" in out
    assert main(["verify", str(copied), "--max_faults=0"]) == 1
    assert "... and 2 more" in capfd.readouterr().out


def _frame(data: bytes) -> tuple[bytes, bytes]:
    from oi_tfrecord.records.tfrecord import frame

    return frame([data])


def test_files_that_are_missing_or_too_many_are_faults(copied: pathlib.Path, run_verify: Verify) -> None:
    shards = sorted(copied.glob("train.tfrecord-*"))
    shutil.copy(shards[0], copied / "train.tfrecord-00000-of-00009")
    shards[1].unlink()
    (copied / "label_map.csv").unlink()
    (copied / "rejects-train.csv").unlink()
    label_map = copied / "label_map.pbtxt"
    label_map.write_text(label_map.read_text().replace('display_name: "', 'display_name: "X', 1))
    code, report = run_verify(copied, "--split=train")
    assert code == 1
    assert kinds(report).keys() == {"shard_missing", "shard_stale", "label_map", "rejects", "count"}
    files = {(fault["kind"], fault["file"]) for fault in report["faults"]}
    assert ("shard_missing", shards[1].name) in files
    assert ("shard_stale", "train.tfrecord-00000-of-00009") in files
    label_map.write_bytes(b"item { \xff")
    code, report = run_verify(copied, "--split=train")
    assert code == 1
    assert ("label_map", "label_map.pbtxt") in {(fault["kind"], fault["file"]) for fault in report["faults"]}


def test_an_image_that_is_in_two_splits_is_a_fault(copied: pathlib.Path, run_verify: Verify) -> None:
    train, validation = (sorted(copied.glob(f"{split}.tfrecord-*"))[0] for split in ("train", "validation"))
    shutil.copy(train, validation)
    records = list(read_records(io.BytesIO(train.read_bytes())))
    code, report = run_verify(copied, "--max_faults=1000")
    assert code == 1
    twice = [fault for fault in report["faults"] if fault["kind"] == "duplicate_image"]
    ids = [parse_example(data)["image/source_id"] for _, data in records]
    assert [(fault["file"], fault["record"], fault["offset"], [fault["image_id"].encode()]) for fault in twice] == [
        (validation.name, number, offset, ids[number]) for number, (offset, _) in enumerate(records)
    ]
    assert all(f"also in {train.name}, record {fault['record']} at byte" in fault["detail"] for fault in twice)
    assert kinds(report)["shard_crc32c"] == 1


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--split=test",), "there is no split 'test'"),
        (("--nonsense=1",), "nonsense: is not a flag"),
        (("--max_faults=-1",), "max_faults: -1 is not within 0 to 1000000"),
        (("--format=xml",), "is none of text, json"),
        (("--runner=DataflowRunner",), "project: is needed by DataflowRunner; give --project=PROJECT"),
    ],
)
def test_an_error_of_the_user_is_one_line(
    whole: pathlib.Path, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...], problem: str
) -> None:
    assert main(["verify", str(whole), *flags]) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert problem in line


def test_a_runner_that_is_named_gives_the_same(whole: pathlib.Path, tmp_path: pathlib.Path, run_verify: Verify) -> None:
    local = run_verify(whole)
    named = run_verify(whole, "--runner=FnApiRunner", f"--temp_location={tmp_path}")
    assert named == local
    assert list(tmp_path.iterdir()) == []


def coco_record(number: int, image: bytes, size: tuple[int, int]) -> bytes:
    """A record as dataset_tools/create_coco_tf_record.py of the Object Detection API writes it."""

    def of_bytes(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_integers(*values: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def of_floats(*values: float) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    features = {
        "image/height": of_integers(size[1]),
        "image/width": of_integers(size[0]),
        "image/filename": of_bytes(f"{number:012d}.jpg".encode()),
        "image/source_id": of_bytes(str(number).encode()),
        "image/key/sha256": of_bytes(hashlib.sha256(image).hexdigest().encode()),
        "image/encoded": of_bytes(image),
        "image/format": of_bytes(b"jpeg"),
        "image/object/bbox/xmin": of_floats(0.1, 0.2),
        "image/object/bbox/xmax": of_floats(0.5, 0.2),
        "image/object/bbox/ymin": of_floats(0.1, 0.2),
        "image/object/bbox/ymax": of_floats(0.5, 0.6),
        "image/object/class/text": of_bytes(b"person", b"dog"),
        "image/object/is_crowd": of_integers(0, 1),
        "image/object/area": of_floats(12.5, 3),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_records_that_tensorflow_wrote_are_verified(tmp_path: pathlib.Path, run_verify: Verify) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(buffer, "JPEG")
    coco = tmp_path / "coco"
    coco.mkdir()
    (coco / "label_map.pbtxt").write_text(
        'item { name: "/m/01g317" id: 1 display_name: "person" } item { name: "dog" id: 18 }'
    )

    def write(records: list[bytes]) -> None:
        for shard in range(2):
            with tf.io.TFRecordWriter(str(coco / f"coco_val.record-{shard:05d}-of-00002")) as writer:
                for record in records[shard::2]:
                    writer.write(record)

    good = [coco_record(number, buffer.getvalue(), (64, 48)) for number in range(6)]
    write(good)
    code, report = run_verify(coco, "--decode")
    assert (code, report["faults"]) == (0, [])
    [(name, split)] = report["splits"].items()
    assert (name, split["records"], split["boxes"]) == ("coco_val", 6, 12)
    keys = {row["key"]: (row["records"], row["filled"]) for row in split["keys"]}
    assert keys["image/object/is_crowd"] == (6, 6)
    assert keys["image/object/group_of"] == keys["image/object/class/label"] == (0, 0)
    # Twice the same image, in different shards, and one that says another size.
    write([*good, good[0], coco_record(7, buffer.getvalue(), (64, 49))])
    code, report = run_verify(coco)
    assert code == 1
    assert kinds(report) == {"duplicate_image": 1, "image_size": 1}
    write([*good, coco_record(1, buffer.getvalue(), (64, 48))])
    (coco / "coco_val.record-00001-of-00002").unlink()
    code, report = run_verify(coco)
    assert (code, kinds(report)) == (1, {"shard_missing": 1})


def test_records_of_the_object_detection_apis_converter_are_verified(
    sample: pathlib.Path, tmp_path: pathlib.Path, run_verify: Verify, whole: pathlib.Path, od_read: Callable[..., Any]
) -> None:
    folder = sample / "2017_11" / "validation"
    output_dir = tmp_path / "theirs"
    output_dir.mkdir()
    shutil.copy(whole / "label_map.pbtxt", output_dir)
    # The original stops at a row whose image is not there.
    with (folder / "annotations-human-bbox.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    rows = [row for row in rows if (sample / "images" / "validation" / f"{row[0]}.jpg").exists()]
    with (tmp_path / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    subprocess.run(
        [
            str(REPOSITORY / ".venv-peers" / "bin" / "python"),
            str(REPOSITORY / "tests" / "benchmarks" / "creator_native.py"),
            f"--input_box_annotations_csv={tmp_path / 'boxes.csv'}",
            f"--input_images_directory={sample / 'images' / 'validation'}",
            f"--input_label_map={output_dir / 'label_map.pbtxt'}",
            f"--output_tf_record_path_prefix={output_dir / 'theirs.tfrecord'}",
            "--num_shards=2",
        ],
        check=True,
        capture_output=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    code, report = run_verify(output_dir)
    assert (code, report["faults"]) == (0, [])
    [split] = report["splits"].values()
    assert split["shards"] == 2
    keys = {row["key"]: row["records"] for row in split["keys"]}
    assert keys["image/object/group_of"] == keys["image/source_id"] == split["records"] > 0
    assert keys["image/height"] == keys["image/key/sha256"] == keys["image/object/is_crowd"] == 0


def test_the_result_is_that_of_the_pipeline(copied: pathlib.Path, run_verify: Verify) -> None:
    first, second, *_ = sorted(copied.glob("train.tfrecord-*"))
    # Each image of the first shard is in two shards.
    second.write_bytes(first.read_bytes() + second.read_bytes())
    here = run_verify(copied, "--split=train", "--workers=2")
    through_beam = run_verify(copied, "--split=train", "--workers=2", "--job_name=any")
    assert here == through_beam
    assert "duplicate" in str(kinds(here[1]))
