"""Every broken image of the collection ends as a record that readers accept, or as a reject with its reason."""

import csv
import io
import pathlib
import shutil
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from oi_tfrecord.reasons import Reject
from tests.conftest import DATA, Converted
from tests.images.test_prepare import NASTY, NASTY_RESIZED, nasty_action
from tests.support.optional import tensorflow as tf

FOLDER = DATA / "nasty"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the broken images are absent ({FOLDER})")


@pytest.fixture
def dataset(sample: pathlib.Path, tmp_path: pathlib.Path) -> tuple[pathlib.Path, dict[str, str]]:
    """A split whose images are the broken files, and the file of each ImageID."""
    folder = tmp_path / "nasty"
    (folder / "images" / "train").mkdir(parents=True)
    shutil.copytree(sample / "2017_11", folder / "2017_11")
    train = folder / "2017_11" / "train"
    header = (train / "images.csv").read_text().splitlines()[0]
    mid = (folder / "2017_11" / "classes-bbox-trainable.txt").read_text().split()[0]
    file_of = {f"{number:016x}": name for number, name in enumerate(sorted(NASTY), 0xABC)}
    with (
        (train / "images.csv").open("w", newline="") as images,
        (train / "annotations-human-bbox.csv").open("w") as boxes,
    ):
        images.write(header + "\n")
        boxes.write("ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n")
        writer = csv.writer(images, lineterminator="\n")
        for image_id, name in file_of.items():
            writer.writerow([image_id, "train", *[""] * 9])
            boxes.write(f"{image_id},xclick,{mid},1,0.25,0.75,0.25,0.75\n")
            shutil.copy(FOLDER / name, folder / "images" / "train" / f"{image_id}.jpg")
    (train / "annotations-human.csv").write_text("ImageID,Source,LabelName,Confidence\n")
    return folder, file_of


MODES = {
    "copy": (),
    "verify": ("--image_mode=verify",),
    "max_side": ("--image_mode=resize", "--max_side=200"),
    "pixel_budget": ("--image_mode=resize", f"--pixel_budget={640 * 480}", "--jpeg_quality=90", "--chroma=4:2:0"),
    "strip": ("--strip_metadata",),
}


@pytest.mark.parametrize("mode", MODES)
def test_each_file_has_its_verdict(
    run: Callable[..., Converted],
    dataset: tuple[pathlib.Path, dict[str, str]],
    tmp_path: pathlib.Path,
    od_read: Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]],
    mode: str,
) -> None:
    folder, file_of = dataset
    result = run(folder, tmp_path / "out", "--max_rejects=100%", *MODES[mode])
    assert result.code == 0, result.err
    rejected = {file_of[row[3]]: row[4] for row in result.rejects() if row[0] == "images"}
    assert rejected == {name: str(verdict) for name, verdict in NASTY.items() if isinstance(verdict, Reject)}
    written = {}
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards()]):
        features = tf.train.Example.FromString(data.numpy()).features.feature
        name = file_of[features["image/source_id"].bytes_list.value[0].decode()]
        encoded = features["image/encoded"].bytes_list.value[0]
        size = [features[f"image/{side}"].int64_list.value[0] for side in ("height", "width")]
        assert tf.io.decode_jpeg(encoded, channels=3).shape.as_list() == [*size, 3], name
        stored = (FOLDER / name).read_bytes()
        assert (encoded == stored) == (nasty_action(name, mode) == "copied"), name
        written[name] = size
    assert written.keys() | rejected.keys() == NASTY.keys()
    manifest = result.manifest()
    assert manifest["balanced"]
    resized = NASTY_RESIZED.get(mode, set())
    reencoded = Counter(v for v in NASTY.values() if not isinstance(v, Reject) and v != "copied")
    reencoded["JPEG"] += sum(NASTY[name] == "copied" for name in resized)
    assert manifest["totals"]["images_reencoded"] == dict(reencoded)
    stripped = sum(nasty_action(name, mode) == "stripped" for name in written)
    counts = {"resized": len(resized), "stripped": stripped}
    assert manifest["totals"]["image_counts"] == {name: count for name, count in counts.items() if count}
    records, _ = od_read(result.output_dir / "label_map.pbtxt", result.shards())
    assert {file_of[record["source_id"]]: record["image_shape"][:2] for record in records} == written


def test_reencoded_images_are_not_turned(
    run: Callable[..., Converted], dataset: tuple[pathlib.Path, dict[str, str]], tmp_path: pathlib.Path
) -> None:
    from PIL import Image

    folder, file_of = dataset
    # A PNG whose EXIF says that it stands on its side; boxes refer to the pixels as stored.
    picture = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    picture.save(data, "PNG", exif=exif)
    image_id = next(iter(file_of))
    (folder / "images" / "train" / f"{image_id}.jpg").write_bytes(data.getvalue())
    result = run(folder, tmp_path / "out", "--max_rejects=100%")
    for record in tf.data.TFRecordDataset([str(path) for path in result.shards()]):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        if features["image/source_id"].bytes_list.value[0].decode() == image_id:
            encoded = Image.open(io.BytesIO(features["image/encoded"].bytes_list.value[0]))
            assert encoded.size == (40, 20)
            assert encoded.getexif().get(0x0112) is None
            return
    raise AssertionError("the image has no record")
