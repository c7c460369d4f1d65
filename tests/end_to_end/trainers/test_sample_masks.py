"""The masks of the sample by our readers and Model Garden's Mask R-CNN parser; attributes of MIAP by its decoder."""

import io
import json
import pathlib
import subprocess
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

import oi_tfrecord
from oi_tfrecord.errors import InputError
from oi_tfrecord.images.mask_png import read_mask
from oi_tfrecord.training.options import TrainingConfigOptions
from tests.support.optional import REPOSITORY, peer_python
from tests.support.small_release import convert


def test_every_mask_of_the_sample_has_a_box_and_is_written(sample_masks: pathlib.Path, mask_records: str) -> None:
    splits: dict[str, Any] = json.loads((pathlib.Path(mask_records) / "manifest.json").read_bytes())["splits"]
    for split, manifest in splits.items():
        table = manifest["tables"]["masks"]
        files = [name for path in sorted((sample_masks / "masks").glob(f"{split}-*.zip")) for name in names_in(path)]
        assert table["written"] == table["rows_read"] == len(files) > 3
        # Group-of boxes have no masks, and are kept.
        assert manifest["tables"]["boxes"]["written"] == manifest["tables"]["boxes"]["rows_read"]
    assert splits["train"]["tables"]["boxes"]["written"] > splits["train"]["tables"]["masks"]["written"]


def names_in(path: pathlib.Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        assert all(name.startswith(path.stem[-1]) for name in archive.namelist())
        return archive.namelist()


def test_masks_lie_in_their_boxes_with_the_size_of_the_image(mask_records: str) -> None:
    for values in oi_tfrecord.RecordDataset(mask_records, "train", masks=True):
        height, width = values["image"].shape[:2]
        assert values["masks"].shape == (len(values["labels"]), height, width)
        for mask, (ymin, xmin, ymax, xmax), is_group in zip(
            values["masks"], values["boxes"], values["group_of"], strict=True
        ):
            assert mask.any() != is_group
            if mask.any():
                rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
                edges = [rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width]
                np.testing.assert_allclose(edges, [ymin, xmin, ymax, xmax], atol=1.5 / min(height, width))


@pytest.mark.parametrize("image_size", [None, (48, 64)])
def test_load_gives_the_masks_of_the_reader_without_tensorflow(
    mask_records: str, image_size: tuple[int, int] | None
) -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed: make dev", exc_type=ImportError)
    dataset = oi_tfrecord.load(mask_records, "train", masks=True, image_size=image_size)
    assert dataset.element_spec["masks"].shape.as_list() == [None, *(image_size or (None, None))]
    ours = oi_tfrecord.RecordDataset(mask_records, "train", masks=True, image_size=image_size)
    for found, expected in zip(dataset.as_numpy_iterator(), ours, strict=True):
        assert found["masks"].dtype == expected["masks"].dtype == np.uint8
        np.testing.assert_array_equal(found["masks"], expected["masks"])
    batch = next(iter(oi_tfrecord.load(mask_records, "train", masks=True, image_size=(48, 64), batch_size=3)))
    assert batch["masks"].shape == (3, batch["labels"].shape[1], 48, 64)


def test_a_record_without_masks_has_none_of_them(sample_masks: pathlib.Path, tmp_path: pathlib.Path) -> None:
    images = f"--images={sample_masks}/images/{{split}}/{{image_id}}.jpg"
    assert convert(["--config=v7", "--split=validation", f"--data_dir={sample_masks}/v7", images,
                    f"--output_dir={tmp_path}", "--num_shards=1"]) == 0  # fmt: skip
    [first, *_] = oi_tfrecord.RecordDataset(str(tmp_path), "validation", masks=True)
    assert first["masks"].shape == (0, *first["image"].shape[:2])
    assert "masks" not in oi_tfrecord.RecordDataset(str(tmp_path), "validation")[0]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_masks_of_third_party_records_are_zero_and_one(mode: str) -> None:
    buffer = io.BytesIO()
    drawn = np.eye(4, dtype=bool)
    Image.fromarray(drawn).convert(mode).save(buffer, "PNG")
    np.testing.assert_array_equal(read_mask(buffer.getvalue()), drawn.astype(np.uint8))


def in_garden(mask_records: str, *flags: str) -> list[dict[str, Any]]:
    script = REPOSITORY / "tests" / "support" / "peers" / "garden_read_masks.py"
    shards = sorted(map(str, pathlib.Path(mask_records).glob("train.tfrecord-*")))
    done = subprocess.run([peer_python("garden"), script, *shards, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_mask_parser_of_model_garden_trains_on_the_masks(mask_records: str) -> None:
    ours = list(oi_tfrecord.RecordDataset(mask_records, "train", masks=True))
    found = in_garden(mask_records)
    assert len(found) == len(ours) > 5
    for line, values in zip(found, ours, strict=True):
        assert line["masks"] == list(values["masks"].shape)
        assert line["pixels"] == values["masks"].sum(axis=(1, 2)).tolist()
        # The parser leaves out group-of boxes and crops each other mask to its box.
        assert line["crop_shape"] == [28, 28]
        assert line["crops"][: int(np.count_nonzero(values["group_of"] == 0))] == pytest.approx(
            [1.0] * int(np.count_nonzero(values["group_of"] == 0))
        )


def test_model_garden_reads_the_attributes_of_miap(sample_masks: pathlib.Path, tmp_path: pathlib.Path) -> None:
    table = (sample_masks / "v7" / "oidv6-train-annotations-bbox.csv").read_text().splitlines()
    ages = ["Young", "Middle", "Older", "Unknown"]
    header, *rows = [line.split(",")[:11] for line in table]
    lines = [[*header, "IsDepictionOf", "IsInsideOf", "GenderPresentation", "AgePresentation"]]
    lines += [[*row, "0", "0", "Unknown", ages[number % 4]] for number, row in enumerate(rows)]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("".join(",".join(line) + "\n" for line in lines))
    images = f"--images={sample_masks}/images/{{split}}/{{image_id}}.jpg"
    assert convert(["--config=miap", "--split=train", f"--data_dir={sample_masks}/v7", images, f"--boxes={boxes}",
                    f"--output_dir={tmp_path}/out", "--num_shards=1"]) == 0  # fmt: skip
    found = in_garden(str(tmp_path / "out"), "--attributes=age_presentation,gender_presentation")
    values = [value for line in found for value in line["age_presentation"]]
    assert sorted(values) == sorted([(1, 2, 3, 0)[number % 4] for number in range(len(rows))])
    assert all(value == 0 for line in found for value in line["gender_presentation"])


def test_mask_metrics_need_masks(mask_records: str) -> None:
    text = oi_tfrecord.training_config(
        TrainingConfigOptions(
            output_dir=mask_records, model="faster_rcnn", metrics="oid_challenge_segmentation_metrics"
        )
    )
    assert 'metrics_set: "oid_challenge_segmentation_metrics"' in text
    assert text.count("load_instance_masks: true") == 2


def test_mask_metrics_of_records_without_masks_are_refused(sample_masks: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for split in ("train", "validation"):
        images = f"--images={sample_masks}/images/{{split}}/{{image_id}}.jpg"
        assert convert(["--config=v7", f"--split={split}", f"--data_dir={sample_masks}/v7", images,
                        f"--output_dir={tmp_path}", "--num_shards=1"]) == 0  # fmt: skip
    options = TrainingConfigOptions(output_dir=str(tmp_path), model="faster_rcnn", metrics="coco_mask_metrics")
    with pytest.raises(InputError, match="coco_mask_metrics compares masks, and the records of the split 'train'"):
        oi_tfrecord.training_config(options)
