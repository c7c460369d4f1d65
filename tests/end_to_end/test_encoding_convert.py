"""Rotation, resizing, metadata and source ids through the whole command, on an invented split in V4's layout."""

import csv
import io
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.cli.main import main
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.errors import ConfigError
from tests.conftest import Converted
from tests.support.optional import tensorflow as tf

MIDS = {"/m/01g317": (220, 30, 30), "/m/0bt9lr": (30, 200, 40), "/m/0k4j": (40, 60, 230)}
WIDTH, HEIGHT = 320, 240
# Pixels (left, right, top, bottom); no two alike under any turn.
BLOCKS = {"/m/01g317": (0, 64, 0, 48), "/m/0bt9lr": (240, 320, 16, 96), "/m/0k4j": (32, 160, 208, 240)}
ROTATIONS = ("0.0", "90.0", "180.0", "270.0", "", "45")
HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation"
)


def scene() -> bytes:
    """Returns a picture with one coloured block per class, and EXIF that would turn it if anyone read it."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (200, 200, 200))
    for mid, (left, right, top, bottom) in BLOCKS.items():
        picture.paste(MIDS[mid], (left, top, right, bottom))
    tags = Image.Exif()
    tags[0x0112] = 3
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=95, exif=tags)
    return data.getvalue()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("v4")
    (folder / "images").mkdir()
    (folder / "class-descriptions-boxable.csv").write_text("".join(f"{mid},Class {mid[3:]}\n" for mid in MIDS))
    with (
        (folder / "train-images-boxable-with-rotation.csv").open("w", newline="") as images,
        (folder / "train-annotations-bbox.csv").open("w") as boxes,
    ):
        images.write(HEADER + "\n")
        boxes.write("ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
                    "IsDepiction,IsInside\n")  # fmt: skip
        for number, rotation in enumerate(ROTATIONS):
            image_id = f"{number:016x}"
            csv.writer(images, lineterminator="\n").writerow([image_id, "train", *[""] * 9, rotation])
            for mid, (left, right, top, bottom) in BLOCKS.items():
                sides = f"{left / WIDTH},{right / WIDTH},{top / HEIGHT},{bottom / HEIGHT}"
                boxes.write(f"{image_id},xclick,{mid},1,{sides},0,0,0,0,0\n")
            (folder / "images" / f"{image_id}.jpg").write_bytes(scene())
    return folder


@pytest.fixture
def run_v4(
    release: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Converted]:
    def run_convert(*flags: str) -> Converted:
        given = flags_of(release, tmp_path / "out")
        code = main(["convert", *given, *flags])
        out, err = capfd.readouterr()
        return Converted(code, tmp_path / "out", out, err)

    return run_convert


def flags_of(release: pathlib.Path, output_dir: pathlib.Path) -> list[str]:
    return [
        "--config=v4", "--split=train", f"--data_dir={release}", f"--images={release}/images/{{image_id}}.jpg",
        f"--output_dir={output_dir}", "--num_shards=2", "--workers=1", "--max_rejects=100%",
    ]  # fmt: skip


def records_of(result: Converted) -> dict[str, dict[str, Any]]:
    records = {}
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards()]):
        features = tf.train.Example.FromString(data.numpy()).features.feature
        record = {
            key: list(getattr(feature, feature.WhichOneof("kind")).value)
            for key, feature in features.items()
            if feature.WhichOneof("kind")
        }
        records[record["image/filename"][0].decode().removesuffix(".jpg")] = record
    return records


def check_blocks(record: dict[str, Any]) -> None:
    """Checks that the pixels inside each box, up to its corners, have its class's colour, and those around it not."""
    pixels = tf.io.decode_jpeg(record["image/encoded"][0], channels=3).numpy().astype(int)
    height, width = pixels.shape[:2]
    assert [height, width] == record["image/height"] + record["image/width"]
    sides = zip(*(record[f"image/object/bbox/{side}"] for side in ("xmin", "xmax", "ymin", "ymax")), strict=True)
    mids = [text.decode() for text in record["image/object/class/text"]]
    assert mids == list(BLOCKS)
    for mid, (xmin, xmax, ymin, ymax), area in zip(mids, sides, record["image/object/area"], strict=True):
        left, right, top, bottom = (
            round(value * side) for value, side in ((xmin, width), (xmax, width), (ymin, height), (ymax, height))
        )
        assert area == pytest.approx((xmax - xmin) * (ymax - ymin) * width * height, rel=1e-5)
        is_block = np.abs(pixels - MIDS[mid]).max(axis=2) < 60
        margin = 2
        for y in (top + margin, bottom - 1 - margin):
            for x in (left + margin, right - 1 - margin):
                assert is_block[y, x], (mid, x, y)
        outside = is_block.copy()
        outside[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin] = False
        assert not outside.any()


def test_rotation_is_not_applied_or_written_unless_asked_for(run_v4: Callable[..., Converted]) -> None:
    result = run_v4()
    assert result.code == 0, result.err
    records = records_of(result)
    assert len(records) == len(ROTATIONS)
    for record in records.values():
        assert record["image/encoded"] == [scene()]
        assert "image/rotation" not in record
        check_blocks(record)


def test_rotation_is_kept_in_a_key(run_v4: Callable[..., Converted]) -> None:
    result = run_v4("--extra_keys=rotation")
    records = records_of(result)
    kept = {image_id: record["image/rotation"] for image_id, record in records.items()}
    assert kept == {f"{n:016x}": angles for n, angles in enumerate(([0], [90], [180], [270], []))}
    assert all(record["image/encoded"] == [scene()] for record in records.values())
    check_bad_angle(result)
    assert result.manifest()["totals"]["image_counts"] == {"rotation_unknown": 1}


def check_bad_angle(result: Converted) -> None:
    manifest = result.manifest()
    assert manifest["balanced"]
    assert manifest["images"]["rejected"] == {"bad_rotation": 1}
    assert [row[3:5] for row in result.rejects()] == [[f"{5:016x}", "bad_rotation"]]
    assert "45" in result.rejects()[0][5]


@pytest.mark.parametrize("mode", [(), ("--image_mode=verify",), ("--image_mode=resize", "--max_side=160")])
def test_rotation_turns_image_and_boxes_together(run_v4: Callable[..., Converted], mode: tuple[str, ...]) -> None:
    result = run_v4("--rotation=apply", "--extra_keys=rotation", *mode)
    assert result.code == 0, result.err
    records = records_of(result)
    check_bad_angle(result)
    for number, rotation in enumerate(ROTATIONS[:5]):
        record = records[f"{number:016x}"]
        size = [WIDTH // 2, HEIGHT // 2] if len(mode) == 2 else [WIDTH, HEIGHT]
        turned = size[::-1] if rotation in ("90.0", "270.0") else size
        assert record["image/width"] + record["image/height"] == turned
        # What is left to turn; a reader that turns images by the key turns none twice.
        assert record["image/rotation"] == ([0] if rotation else [])
        check_blocks(record)
    boxes = [tuple(records[f"{n:016x}"]["image/object/bbox/xmin"]) for n in range(4)]
    assert len(set(boxes)) == 4
    counts = {"rotation_unknown": 1, "turned": 3} | ({"resized": 5} if len(mode) == 2 else {})
    assert result.manifest()["totals"]["image_counts"] == counts
    assert (records[f"{0:016x}"]["image/encoded"] == [scene()]) == (len(mode) < 2)


def test_rotation_needs_its_column(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    metadata = (release / "train-images-boxable-with-rotation.csv").read_text()
    (tmp_path / "images.csv").write_text(re.sub(r",[^,\n]*$", "", metadata, flags=re.MULTILINE))
    flags = [*flags_of(release, tmp_path / "out"), f"--metadata={tmp_path}/images.csv", "--release="]
    with pytest.raises(ConfigError, match="rotation: apply needs the column Rotation"):
        make_plan(parse_convert([*flags, "--rotation=apply"]).config)
    (warning,) = make_plan(parse_convert([*flags, "--extra_keys=rotation"]).config).warnings[-1:]
    assert "image/rotation is empty" in warning


def test_numeric_source_ids(run_v4: Callable[..., Converted]) -> None:
    """As Model Garden reads them (`process_source_id`): a decimal int64, which is also an exact float32."""
    records = records_of(run_v4("--source_id=numeric"))
    ids = [int(tf.strings.to_number(record["image/source_id"][0], tf.int64)) for record in records.values()]
    assert len(set(ids)) == len(ROTATIONS)
    assert all(0 <= number < 1 << 24 and int(np.float32(number)) == number for number in ids)
    assert {f"{number:016x}" for number in range(len(ROTATIONS))} == set(records)


def test_source_ids_do_not_depend_on_the_images_being_there(
    run_v4: Callable[..., Converted], release: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def ids_of(result: Converted) -> dict[str, bytes]:
        return {image_id: record["image/source_id"][0] for image_id, record in records_of(result).items()}

    whole = ids_of(run_v4("--source_id=numeric"))
    few = tmp_path / "few"
    few.mkdir()
    (few / f"{2:016x}.jpg").write_bytes(scene())
    only = ids_of(run_v4("--source_id=numeric", f"--images={few}/{{image_id}}.jpg", "--overwrite"))
    assert only == {f"{2:016x}": whole[f"{2:016x}"]}


def test_stripped_images_have_the_same_pixels(run_v4: Callable[..., Converted]) -> None:
    result = run_v4("--strip_metadata")
    assert result.manifest()["totals"]["image_counts"] == {"stripped": len(ROTATIONS)}
    for record in records_of(result).values():
        (encoded,) = record["image/encoded"]
        assert b"Exif" not in encoded
        assert (tf.io.decode_jpeg(encoded).numpy() == tf.io.decode_jpeg(scene()).numpy()).all()


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (["--image_mode=resize"], "max_side"),
        (["--max_side=100"], "max_side"),
        (["--pixel_budget=100", "--image_mode=verify"], "pixel_budget"),
        (["--jpeg_quality=0"], "jpeg_quality"),
        (["--chroma=4:1:1"], "chroma"),
        (["--rotation=turn"], "rotation"),
        (["--source_id=decimal"], "source_id"),
        (["--image_mode=resize", "--max_side=70000"], "max_side"),
    ],
)
def test_errors_name_the_field(release: pathlib.Path, tmp_path: pathlib.Path, flags: list[str], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_plan(parse_convert([*flags_of(release, tmp_path), *flags]).config)
    assert raised.value.field == field


def test_each_choice_is_another_conversion(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    choices = [
        [], ["--rotation=apply"], ["--source_id=numeric"], ["--strip_metadata"], ["--jpeg_quality=90"],
        ["--chroma=4:2:0"], ["--extra_keys=rotation"], ["--image_mode=resize", "--max_side=64"],
        ["--image_mode=resize", "--max_side=65"], ["--image_mode=resize", "--pixel_budget=64"],
    ]  # fmt: skip
    plans = [make_plan(parse_convert([*flags_of(release, tmp_path), *flags]).config) for flags in choices]
    assert all(one.fingerprint != other.fingerprint for n, one in enumerate(plans) for other in plans[:n])


@pytest.mark.parametrize(
    "flags",
    [
        ["--source_id=numeric", "--extra_keys=rotation"],
        ["--rotation=apply", "--max_rejects=100%"],
        ["--image_mode=resize", "--max_side=64", "--strip_metadata"],
    ],
)
def test_what_was_encoded_anew_verifies(
    run_v4: Callable[..., Converted], tmp_path: pathlib.Path, flags: list[str]
) -> None:
    assert run_v4(*flags).code == 0
    assert main(["verify", str(tmp_path / "out"), "--decode"]) == 0
