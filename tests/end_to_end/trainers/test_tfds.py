"""TensorFlow Datasets reads what `convert`, `resample` and `merge` write, and `verify` knows its files."""

import json
import pathlib
import subprocess
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from tests.support import mask_release
from tests.support.mask_release import MaskRelease
from tests.support.optional import REPOSITORY, peer_python
from tests.support.small_release import convert

Found = dict[str, dict[str, Any]]


def read(folder: pathlib.Path) -> Found:
    script = REPOSITORY / "tests" / "support" / "peers" / "read_tfds.py"
    done = subprocess.run([peer_python("tfds"), script, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> MaskRelease:
    return mask_release.write_release(tmp_path_factory.mktemp("release"), images=6, faults=False)


@pytest.fixture(scope="module")
def folder(release: MaskRelease, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of two splits: one of masks, and one of the same images with all boxes and without masks."""
    folder = tmp_path_factory.mktemp("records")
    assert convert(release.flags(folder, num_shards=3)) == 0
    for name in ("images-boxable-with-rotation", "annotations-bbox"):
        table = release.folder / f"train-{name}.csv"
        (release.folder / f"validation-{name}.csv").write_text(table.read_text())
    others = {"split": "validation", "extra_keys": None, "mask_files": None, "label_map": folder / "label_map.pbtxt"}
    assert convert(release.flags(folder, **others)) == 0
    return folder


def test_builder_from_directory_reads_every_split(release: MaskRelease, folder: pathlib.Path) -> None:
    found = read(folder)
    assert sorted(found) == ["train", "validation"]
    with_masks = {image_id for image_id, _ in release.masks}
    assert found["train"]["count"] == len(found["train"]["examples"]) == len(with_masks)
    for example in found["train"]["examples"]:
        places = [place for place in range(9) if (example["image_id"], place) in release.masks]
        masks = [release.masks[example["image_id"], place] for place in places]
        assert example["masks"] == [[int(np.count_nonzero(mask)), 1] for mask in masks]
        assert example["shape"] == [*masks[0].shape, 3]
    assert found["validation"]["count"] == len(release.boxes)
    for example in found["validation"]["examples"]:
        rows = release.boxes[example["image_id"]]
        assert example["classes"] == [row[2] for row in rows]
        assert example["xmin"] == pytest.approx([float(row[4]) for row in rows])
        assert example["masks"] == []


def test_derived_splits_are_read_and_verified(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    half, merged = tmp_path / "half", tmp_path / "merged"
    assert main(["resample", str(folder), "--split=validation", "--fraction=0.5", f"--to={half}"]) == 0
    assert main(["merge", str(half), f"--to={merged}"]) == 0
    counts = [found["validation"]["count"] for found in (read(half), read(merged))]
    assert counts[0] == counts[1] > 0
    assert main(["verify", str(merged)]) == 0
