"""Files as they are published and passed around: V4's metadata without Rotation, metadata of all splits, lists."""

import csv
import json
import pathlib

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.openimages.demo.release import generate


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("v4")
    generate(folder, release="v4", train_images=12, validation_images=8)
    return folder


def convert(sample: pathlib.Path, data: pathlib.Path, out: pathlib.Path, *more: str) -> int:
    return main(
        [
            "convert", "--config=v4", "--split=train", f"--data_dir={data}", f"--output_dir={out}", "--num_shards=1",
            f"--images={sample}/images/{{split}}/{{image_id}}.jpg", "--max_rejects=100%", *more,
        ]
    )  # fmt: skip


def copy(sample: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Returns a copy of the tables without the metadata."""
    for path in (sample / "2018_04").rglob("*.csv"):
        if "-images-" not in path.name:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def rows(sample: pathlib.Path, split: str) -> list[list[str]]:
    [path] = (sample / "2018_04" / split).glob("*-images-*with-rotation.csv")
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def write(path: pathlib.Path, lines: list[list[str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)


def records(out: pathlib.Path) -> bytes:
    return (out / "train.tfrecord-00000-of-00001").read_bytes()


def test_metadata_without_rotation_is_read(sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert convert(sample, sample / "2018_04", tmp_path / "usual") == 0
    (tmp_path / "data").mkdir()
    write(copy(sample, tmp_path / "data") / "train-images-boxable.csv", [row[:-1] for row in rows(sample, "train")])
    assert convert(sample, tmp_path / "data", tmp_path / "out") == 0
    assert records(tmp_path / "out") == records(tmp_path / "usual")


@pytest.mark.parametrize("select", ["boxed", "all"])
def test_of_metadata_of_all_splits_only_the_split_is_used(
    sample: pathlib.Path, tmp_path: pathlib.Path, select: str
) -> None:
    assert convert(sample, sample / "2018_04", tmp_path / "usual", f"--select={select}") == 0
    (tmp_path / "data").mkdir()
    both = [*rows(sample, "train"), *rows(sample, "validation")[1:]]
    write(copy(sample, tmp_path / "data") / "image_ids_and_rotation.csv", both)
    assert convert(sample, tmp_path / "data", tmp_path / "out", f"--select={select}") == 0
    assert records(tmp_path / "out") == records(tmp_path / "usual")


def test_lines_of_other_splits_are_left_out_with_a_warning(
    sample: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = rows(sample, "train")[1][0]
    (tmp_path / "ids.txt").write_text(f"train/{chosen}\ntest/0000000000000001\n")
    assert convert(sample, sample / "2018_04", tmp_path / "out", f"--image_ids={tmp_path}/ids.txt") == 0
    assert "has 1 lines of other splits than train, left out" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["images"]["selected"] <= 1


def test_boxes_without_metadata_get_a_hint(
    sample: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(sample, copy(sample, tmp_path), tmp_path / "out") == 1
    assert "--driver=boxes" in capsys.readouterr().err


def test_a_conversion_without_any_image_stops_after_its_plan(
    sample: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"--images={tmp_path}/none/{{digit}}/{{image_id}}.jpg"
    assert convert(sample, sample / "2018_04", tmp_path / "out", nowhere, "--max_rejects=0") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {tmp_path}/none/")
    assert "none of the " in error
    assert not (tmp_path / "out").exists()
