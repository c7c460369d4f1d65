import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from oi_tfrecord.verification.faults import FaultKind
from oi_tfrecord.verification.verify import VerifyOptions, verify
from tests.support import small_release
from tests.support.small_release import convert


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    release = small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)
    output = tmp_path_factory.mktemp("records")
    assert convert(release.flags(output, workers=1)) == 0
    return output


def faults_of(folder: pathlib.Path) -> list[tuple[str, str]]:
    result = verify(VerifyOptions(output_dir=str(folder), workers=1))
    return [(fault.file, fault.detail) for fault in result.faults if fault.kind is FaultKind.TFDS]


def rename_split(info: dict[str, Any]) -> None:
    info["splits"][0]["name"] = "test"


def change_length(info: dict[str, Any]) -> None:
    info["splits"][0]["shardLengths"][0] = "99"


def change_template(info: dict[str, Any]) -> None:
    del info["splits"][0]["filepathTemplate"]


def change_dtype(features: dict[str, Any]) -> None:
    features["featuresDict"]["features"]["image/object/bbox/xmin"]["tensor"]["dtype"] = "int64"


def remove_feature(features: dict[str, Any]) -> None:
    del features["featuresDict"]["features"]["image/width"]


def add_feature(features: dict[str, Any]) -> None:
    of_records = features["featuresDict"]["features"]
    of_records["image/object/mask"] = of_records["image/width"]


@pytest.mark.parametrize(
    ("name", "change", "details"),
    [
        ("dataset_info.json", rename_split, ["has the split 'test', which the manifest", "lacks the split 'train'"]),
        ("dataset_info.json", change_length, ["has shardLengths"]),
        ("dataset_info.json", change_template, ["has filepathTemplate None"]),
        ("features.json", change_dtype, ["its feature of image/object/bbox/xmin is not that of the records"]),
        ("features.json", remove_feature, ["lacks the key image/width"]),
        ("features.json", add_feature, ["has the key image/object/mask, which the records lack"]),
    ],
)
def test_a_contradiction_is_a_fault(
    folder: pathlib.Path, name: str, change: Callable[[dict[str, Any]], None], details: list[str]
) -> None:
    path = folder / name
    before = path.read_bytes()
    content = json.loads(before)
    change(content)
    path.write_text(json.dumps(content))
    try:
        found = faults_of(folder)
    finally:
        path.write_bytes(before)
    assert [file for file, _ in found] == [name] * len(details)
    assert all(detail in text for detail, (_, text) in zip(details, found, strict=True))


def test_whole_files_are_no_fault_and_one_alone_is(folder: pathlib.Path) -> None:
    assert faults_of(folder) == []
    features = (folder / "features.json").read_bytes()
    (folder / "features.json").unlink()
    assert faults_of(folder) == [("features.json", "there is no such file")]
    info = (folder / "dataset_info.json").read_bytes()
    (folder / "dataset_info.json").unlink()
    # Earlier versions wrote neither.
    assert faults_of(folder) == []
    (folder / "dataset_info.json").write_bytes(b"[]")
    assert [file for file, _ in faults_of(folder)] == ["features.json", "dataset_info.json"]
    (folder / "features.json").write_bytes(features)
    (folder / "dataset_info.json").write_bytes(info)
