"""No command replaces a file that it reads, or that no command wrote."""

import os
import pathlib
import shutil

import pytest

from oi_tfrecord.cli.main import main
from tests.conftest import convert_arguments

SHARD = "records/train.tfrecord-00000-of-00003"

OUTPUTS = {
    "report": ["report", "records", "--format=json", "--output={output}"],
    "evaluate": ["evaluate", "records", "--split=train", "--detections=detections.csv", "--output={output}"],
    "training-config": [
        *("training-config", "records", "--model=ssd", "--eval=train", "--pipeline=pipeline.config"),
        "--output={output}",
    ],
    "show": ["show", SHARD, "--png={output}"],
}
"""Commands with a file to write."""
INPUTS = {
    "report": [],
    "evaluate": ["detections.csv"],
    "training-config": ["pipeline.config"],
    "show": [],
}
"""What a command reads beside the records."""
PARTS = (SHARD, "records/manifest.json", "records/label_map.pbtxt", "records/rejects-train.csv", "hard", "soft/index")


def snapshot(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("made")
    assert main(["convert", *convert_arguments(sample, folder / "records")]) == 0
    (folder / "detections.csv").write_text("ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n")
    (folder / "pipeline.config").write_text("model { ssd { num_classes: 90 } }\n")
    (folder / "mine").write_text("mine\n")
    return folder


@pytest.fixture
def folder(made: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    copied = tmp_path / "work"
    shutil.copytree(made, copied)
    (copied / "soft").symlink_to(copied / "records")
    os.link(copied / SHARD, copied / "hard")
    monkeypatch.chdir(copied)
    return copied


@pytest.mark.parametrize("command", OUTPUTS)
def test_an_input_is_not_replaced(command: str, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    index = next((folder / "records" / "index").iterdir()).name
    before = snapshot(folder)
    for output in (*INPUTS[command], *PARTS):
        output = output.replace("soft/index", f"soft/index/{index}")
        for spelling in (output, str(folder / output)):
            assert main([flag.format(output=spelling) for flag in OUTPUTS[command]]) == 1, spelling
            [line] = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("warning: ")]
            assert "is read by this command, and would be replaced" in line
    assert snapshot(folder) == before


@pytest.mark.parametrize("command", ["report", "evaluate", "show"])
def test_a_file_of_another_kind_is_not_replaced(
    command: str, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([flag.format(output="mine") for flag in OUTPUTS[command]]) == 1
    assert "mine is there already, and this command did not write it" in capfd.readouterr().err
    assert (folder / "mine").read_text() == "mine\n"
    for _ in range(2):
        assert main([flag.format(output="new") for flag in OUTPUTS[command]]) == 0


DERIVED = {
    "resample": ["resample", "records", "--split=train", "--cap=1", "--to=new"],
    "merge": ["merge", "records", "--to=new"],
    "export": ["export", "records", "--to=new", "--format=oid"],
    "tables": ["export", "records", "--to=new"],
}
FOREIGN = ["label_map.pbtxt", "label_map.csv", "features.json", "dataset_info.json", "rejects-train.csv"]
FOREIGN += ["index/train-00000-of-00001.idx", "ATTRIBUTION-train.csv", "weights-train.csv"]
WRITES = {
    "convert": FOREIGN,
    "resample": FOREIGN,
    "merge": FOREIGN,
    "export": ["label_map.pbtxt", "train-boxes.csv", "train-image-labels.csv", "train-masks.csv"],
    "tables": ["classes.parquet", "images/train.parquet", "boxes/train.parquet"],
}


@pytest.mark.parametrize("command", WRITES)
def test_a_file_that_no_command_wrote_stays(
    command: str, sample: pathlib.Path, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = DERIVED.get(command) or ["convert", *convert_arguments(sample, pathlib.Path("new"))]
    for name in WRITES[command]:
        path = folder / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        assert main(words) == 1, name
        assert str(path.relative_to(folder)) in capfd.readouterr().err
        assert path.read_text() == "mine"
        path.unlink()
    shutil.rmtree(folder / "new")
    for _ in range(2):
        assert main(words) == 0


def test_overwrite_replaces_what_lies_about_but_no_other_label_map(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*DERIVED["resample"], "--overwrite"]
    (folder / "new").mkdir()
    (folder / "new" / "label_map.pbtxt").write_text("mine")
    (folder / "new" / "rejects-train.csv").write_text("mine")
    assert main(words) == 1
    assert "label_map.pbtxt is there already" in capfd.readouterr().err
    shutil.copy("records/label_map.pbtxt", "new/label_map.pbtxt")
    assert main(words) == 0
    assert (folder / "new" / "rejects-train.csv").read_text() != "mine"


def test_weights_that_the_manifest_does_not_name_stay(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["resample", "records", "--split=train", "--repeat_threshold=0.5"]
    (folder / "records" / "weights-train.csv").write_text("mine")
    assert main(words) == 1
    assert "weights-train.csv is there already" in capfd.readouterr().err
    (folder / "records" / "weights-train.csv").unlink()
    assert main(words) == 0


def test_a_list_of_images_that_the_conversion_would_replace_is_refused(
    sample: pathlib.Path, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "new").mkdir()
    ids = folder / "new" / "rejects-train.csv"
    ids.write_text((sample / "2017_11" / "train" / "images.csv").read_text().split("\n")[1].split(",")[0])
    flags = convert_arguments(sample, pathlib.Path("new"), f"--image_ids={ids}", "--overwrite=true")
    before = ids.read_bytes()
    assert main(["convert", *flags]) == 1
    assert "is read by this conversion, which would replace it" in capfd.readouterr().err
    assert ids.read_bytes() == before
