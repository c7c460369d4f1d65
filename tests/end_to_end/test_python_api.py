"""The functions of the package on a real dataset: each returns a typed result and prints nothing."""

import dataclasses
import pathlib
from collections.abc import Iterator

import pytest

import oi_tfrecord
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def config(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> oi_tfrecord.ConvertConfig:
    return oi_tfrecord.read_config(
        str(REPOSITORY / "configs" / "v3.yaml"),
        {
            "split": "train",
            "data_dir": str(sample / "2017_11"),
            "images": str(sample / "images" / "train" / "{image_id}.jpg"),
            "output_dir": str(tmp_path_factory.mktemp("api") / "records"),
            "num_shards": 2,
        },
    )


@pytest.fixture(scope="module")
def records(config: oi_tfrecord.ConvertConfig) -> str:
    oi_tfrecord.convert(config, workers=1)
    return config.output_dir


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def test_convert(config: oi_tfrecord.ConvertConfig, tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(config, output_dir=str(tmp_path))
    result = oi_tfrecord.convert(config, workers=1)
    assert (result.was_complete, result.exit_code, result.problems) == (False, 0, ())
    assert result.manifest["totals"]["records"] == len(oi_tfrecord.RecordDataset(str(tmp_path), "train")) > 0
    assert oi_tfrecord.convert(config).was_complete


def test_dry_run(config: oi_tfrecord.ConvertConfig, records: str) -> None:
    expected = oi_tfrecord.convert(config).manifest["totals"]["records"]
    assert oi_tfrecord.dry_run(config, workers=1).counted.manifest["totals"]["records"] == expected


def test_verify(records: str) -> None:
    result = oi_tfrecord.verify(oi_tfrecord.VerifyOptions(records, decode=True))
    assert result.ok
    assert list(result.splits) == ["train"]


def test_show(records: str, tmp_path: pathlib.Path) -> None:
    png = tmp_path / "record.png"
    shard = f"{records}/train.tfrecord-00000-of-00002:1"
    record = oi_tfrecord.show(oi_tfrecord.ShowOptions(shard, png=str(png)))
    assert record.number == 1
    assert any(line.startswith("image/encoded") for line in record.lines)
    assert png.read_bytes().startswith(b"\x89PNG")


def test_report(records: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "report.json"
    made = oi_tfrecord.report(oi_tfrecord.ReportOptions(records, output=str(path), format="json"))
    assert path.read_text() == made.text
    assert [numbers.split for numbers in made.splits] == ["train"]


def test_resample_and_merge(records: str, tmp_path: pathlib.Path) -> None:
    parts = [
        oi_tfrecord.resample(
            oi_tfrecord.ResampleOptions(records, "train", to=str(tmp_path / part), folds=2, fold=0, part=part)
        )
        for part in ("train", "test")
    ]
    assert all(part.balanced for part in parts)
    inputs = tuple(part.output_dir for part in parts)
    merged = oi_tfrecord.merge(oi_tfrecord.MergeOptions(inputs, to=str(tmp_path / "merged")))
    assert merged.balanced
    [split] = merged.splits
    assert split.manifest["images"]["records"] == len(oi_tfrecord.RecordDataset(records, "train"))


def test_export(records: str, tmp_path: pathlib.Path) -> None:
    result = oi_tfrecord.export(oi_tfrecord.ExportOptions(records, to=str(tmp_path / "tables")))
    assert result.rows["train"]["images"] == len(oi_tfrecord.RecordDataset(records, "train"))


def test_training_config(records: str) -> None:
    options = oi_tfrecord.TrainingConfigOptions(records, "ssd", eval="train")
    assert "num_classes: " in oi_tfrecord.training_config(options)


def test_a_bad_value_names_its_option() -> None:
    with pytest.raises(oi_tfrecord.ConfigError) as raised:
        oi_tfrecord.MergeOptions(("a", "b"), to="c", on_duplicate="frist")
    assert raised.value.field == "on_duplicate"
    assert "did you mean 'first'?" in raised.value.problem
