"""Lines that users of the Python API write, as mypy sees them: tests/test_public_names.py checks them."""

import dataclasses
from collections.abc import Mapping
from typing import Any, assert_type

import oi_tfrecord
from oi_tfrecord import ConvertConfig, RecordDataset, load


def convert_a_split() -> None:
    config = dataclasses.replace(
        oi_tfrecord.read_config("v3"),
        split="validation",
        data_dir="2017_11",
        images="validation/{image_id}.jpg",
        output_dir="records",
    )
    assert_type(config, ConvertConfig)
    result = oi_tfrecord.convert(config, workers=2, progress=oi_tfrecord.PrintedProgress())
    assert_type(result, oi_tfrecord.ConversionResult)
    assert_type(result.problems, tuple[str, ...])
    assert_type(oi_tfrecord.dry_run(config), oi_tfrecord.DryRunResult)


def download_images() -> None:
    options = oi_tfrecord.DownloadOptions(
        "validation", image_urls="thumbnail", data_dir="2017_11", split="validation", metadata=("images.csv",)
    )
    result = oi_tfrecord.download(options)
    assert_type(result, oi_tfrecord.DownloadResult)
    assert_type(result.failed, Mapping[str, int])


def look_at_records() -> None:
    checked = oi_tfrecord.verify(oi_tfrecord.VerifyOptions("records", split=("train",), decode=True))
    assert_type(checked, oi_tfrecord.VerifyResult)
    assert_type(checked.faults, tuple[oi_tfrecord.DatasetFault, ...])
    shown = oi_tfrecord.show(oi_tfrecord.ShowOptions("records/train.tfrecord-00000-of-00010:3"))
    assert_type(shown.lines, tuple[str, ...])
    made = oi_tfrecord.report(oi_tfrecord.ReportOptions("records", format="json", output="-"))
    assert_type(made.text, str)
    oi_tfrecord.browse(oi_tfrecord.BrowseOptions("records", port=0), lambda started: print(started.address))


def make_datasets() -> None:
    part = oi_tfrecord.resample(oi_tfrecord.ResampleOptions("records", "train", to="small", fraction="0.1"))
    assert_type(part, oi_tfrecord.WrittenSplit)
    merged = oi_tfrecord.merge(oi_tfrecord.MergeOptions(("first", "second"), to="merged"))
    assert_type(merged.splits, tuple[oi_tfrecord.WrittenSplit, ...])


def use_records() -> None:
    exported = oi_tfrecord.export(oi_tfrecord.ExportOptions("records", to="tables"))
    assert_type(exported.rows, Mapping[str, Mapping[str, int]])
    assert_type(oi_tfrecord.training_config(oi_tfrecord.TrainingConfigOptions("records", "ssd")), str)
    dataset = RecordDataset("records", "train", image_size=(640, 640))
    assert_type(len(dataset), int)
    assert_type(dataset[0], dict[str, Any])
    load("records", "train", batch_size=16, image_size=(640, 640), shuffle_buffer=2048, seed=1)


def handle_errors() -> None:
    try:
        oi_tfrecord.verify(oi_tfrecord.VerifyOptions("nowhere"))
    except oi_tfrecord.ConfigError as error:
        assert_type(error.field, str)
    except oi_tfrecord.FileError as error:
        assert_type(error.path, str)
    except oi_tfrecord.OiTfrecordError as error:
        print(error)
