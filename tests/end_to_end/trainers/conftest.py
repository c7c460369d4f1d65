"""What the trainings of the examples share: records of a sample, and the official score of their detections."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.openimages.demo.release import generate
from tests.conftest import REPOSITORY, convert_arguments, in_api
from tests.support.small_release import convert

Score = Callable[[pathlib.Path], float]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of records with 200 scenes to train with and 60 held-out ones."""
    folder = tmp_path_factory.mktemp("scenes")
    data, records = folder / "data", folder / "records"
    generate(data, train_images=200, validation_images=60)
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(data, records, split=split)]) == 0
    shutil.rmtree(data)
    learned = {record["image_id"] for record in RecordDataset(str(records), "train", decode=False)}
    held_out = {record["image_id"] for record in RecordDataset(str(records), "validation", decode=False)}
    assert len(held_out) > 40
    assert not held_out & learned
    return records


@pytest.fixture(scope="session")
def sample_masks(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the sample in the layout of V7, whose boxes have masks."""
    folder = tmp_path_factory.mktemp("sample") / "v7"
    assert main(["sample", f"--output_dir={folder}", "--release=v7", "--train_images=14", "--validation_images=3"]) == 0
    return folder


@pytest.fixture(scope="session")
def mask_records(sample_masks: pathlib.Path) -> str:
    """A folder of records with masks, of 14 scenes to train with and 3 held-out ones."""
    output = sample_masks / "records"
    flags = ["--extra_keys=masks", f"--mask_archives={sample_masks}/masks/{{split}}-masks-*.zip", "--num_shards=1"]
    for split in ("train", "validation"):
        images = f"--images={sample_masks}/images/{{split}}/{{image_id}}.jpg"
        assert convert(["--config=v7", f"--split={split}", f"--data_dir={sample_masks}/v7", images,
                        f"--output_dir={output}", "--boxes_without_mask=groups", *flags]) == 0  # fmt: skip
    return str(output)


@pytest.fixture(scope="session")
def class_records(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of records for classification, with the present labels apart."""
    output = tmp_path_factory.mktemp("classes") / "records"
    flags = ["--task=classification", "--extra_keys=present_labels"]
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(sample, output, *flags, split=split)]) == 0
    return str(output)


@pytest.fixture
def score(scenes: pathlib.Path, tmp_path: pathlib.Path) -> Score:
    """Draws the detections of a file, and returns the mAP@0.5 that the Object Detection API gives them."""

    def score(detections: pathlib.Path) -> float:
        held_out = {record["image_id"].decode() for record in RecordDataset(str(scenes), "validation", decode=False)}
        assert json.loads(detections.read_text()).keys() == held_out
        picture = tmp_path / "detections.jpg"
        draw = REPOSITORY / "examples" / "draw_detections.py"
        subprocess.run([sys.executable, str(draw), str(scenes), str(detections), str(picture)], check=True)
        with Image.open(picture) as drawn:
            # Not the blank sheet.
            assert len(drawn.convert("L").getcolors()) > 100
        metrics = json.loads(
            in_api(
                str(REPOSITORY / "tests" / "support" / "peers" / "od_evaluate.py"),
                f"--label_map={scenes / 'label_map.pbtxt'}",
                "--metrics=oid_V2_detection_metrics",
                f"--detections={detections}",
                str(scenes / "validation.tfrecord-*"),
            ).splitlines()[-1]
        )
        return float(metrics["OpenImagesV2_Precision/mAP@0.5IOU"])

    return score
