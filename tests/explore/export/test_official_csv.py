import csv
import pathlib

import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from tests.support import random_truth
from tests.support.random_truth import RandomImage

BOX = (0.25, 0.1, 1.0, 0.653061)


def read(path: pathlib.Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("with_masks", [False, True])
def test_the_files_have_the_columns_of_the_official_program(
    with_masks: bool, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = random_truth.draw_ellipse(BOX, 40, 20) if with_masks else None
    boxes = (("/m/dog", BOX, False, mask), ("/m/dog", BOX, True, None))
    images = [RandomImage("a" * 16, 40, 20, boxes, (("/m/dog", 1.0), ("/m/cat", 0.0)))]
    random_truth.write_records(tmp_path / "records", images, with_masks)
    stale = tmp_path / "official" / "validation-masks.csv"
    stale.parent.mkdir()
    stale.write_text(
        "ImageID,LabelName,ImageWidth,ImageHeight,XMin,YMin,XMax,YMax,IsGroupOf,Mask\nof an earlier export"
    )
    assert main(["export", str(tmp_path / "records"), f"--to={tmp_path / 'official'}", "--format=oid"]) == 0
    assert "validation: 2 boxes, 2 image_labels" in capsys.readouterr().out
    folder = tmp_path / "official"
    assert read(folder / "validation-boxes.csv") == [
        ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf"],
        ["a" * 16, "/m/dog", "0.1", "0.653061", "0.25", "1.0", "0"],
        ["a" * 16, "/m/dog", "0.1", "0.653061", "0.25", "1.0", "1"],
    ]
    assert read(folder / "validation-image-labels.csv") == [
        ["ImageID", "LabelName", "Confidence"],
        ["a" * 16, "/m/dog", "1"],
        ["a" * 16, "/m/cat", "0"],
    ]
    assert (folder / "label_map.pbtxt").read_bytes() == (tmp_path / "records" / "label_map.pbtxt").read_bytes()
    if not with_masks:
        assert not stale.exists()
        return
    header, row = read(stale)
    assert ",".join(header) == "ImageID,LabelName,ImageWidth,ImageHeight,XMin,YMin,XMax,YMax,IsGroupOf,Mask"
    assert row[:9] == ["a" * 16, "/m/dog", "40", "20", "0.1", "0.25", "0.653061", "1.0", "0"]


def test_a_database_takes_no_csv() -> None:
    with pytest.raises(oi_tfrecord.ConfigError, match="oid is for a folder"):
        oi_tfrecord.ExportOptions("records", "postgresql://me@host/base", format="oid")
