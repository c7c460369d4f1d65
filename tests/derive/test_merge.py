"""Merging of datasets with different classes, of the sample with every key, and of images that are in both."""

import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset import publish_split
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.derive import shard as derived_shard
from oi_tfrecord.derive.relabel import encode_values
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_pbtxt
from oi_tfrecord.verification.verify import VerifyOptions, verify
from tests.conftest import Converted
from tests.support import mask_release
from tests.support.power_law import MIDS, write_power_law
from tests.support.small_release import dataset

Example = dict[str, Any]


def convert_part(flags: list[str], folder: pathlib.Path, part: int, classes: tuple[str, ...], *more: str) -> None:
    """Converts every other image, with some of the classes."""
    metadata = pathlib.Path(flags[2].partition("=")[2]) / "train" / "images.csv"
    rows = [line.partition(",")[0] for line in metadata.read_text().splitlines()[1:]]
    listed = folder.parent / f"{folder.name}.txt"
    listed.write_text("".join(image_id + "\n" for image_id in rows[part::2]))
    arguments = [f"--output_dir={folder}", f"--image_ids={listed}", f"--classes={','.join(classes)}"]
    assert main(["convert", *flags, *arguments, *more]) == 0


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_power_law(tmp_path_factory.mktemp("power") / "law", images=80)


@pytest.fixture(scope="module")
def parts(law: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """Two halves of the images, with ids that differ, some classes in one of them only."""
    folder = tmp_path_factory.mktemp("parts")
    convert_part(law, folder / "first", 0, MIDS[:7], "--num_shards=3")
    convert_part(law, folder / "second", 1, MIDS[3:], "--num_shards=2", "--label_order=frequency")
    return folder / "first", folder / "second"


def merge(*arguments: object) -> int:
    return main(["merge", *map(str, arguments)])


def read(folder: pathlib.Path, split: str = "train") -> dict[bytes, Example]:
    shards = find_splits(str(folder), [split])[split].shards
    examples: list[Example] = [parse_example(data) for shard in shards for _, data in read_shard(shard)]
    return {example["image/filename"][0]: example for example in examples}


def read_manifest(folder: pathlib.Path, split: str = "train") -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())["splits"][split]


def label_map_of(folder: pathlib.Path) -> LabelMap:
    label_map = read_label_map(str(folder))
    assert label_map is not None
    return label_map


def assert_whole(folder: pathlib.Path) -> None:
    assert [str(fault) for fault in verify(VerifyOptions(str(folder))).faults] == []


def assert_merged(merged: dict[bytes, Example], inputs: list[dict[bytes, Example]], ids: dict[str, int]) -> None:
    """Asserts that each record is as it was but for its ids, which are those of its MIDs."""
    assert len(merged) == sum(map(len, inputs))
    for records in inputs:
        for name, example in records.items():
            expected = dict(example)
            for prefix in ("image/object/class", "image/class", "image/machine_class"):
                if prefix + "/text" in example:
                    expected[prefix + "/label"] = [ids[mid.decode()] for mid in example[prefix + "/text"]]
            found = merged[name]
            assert found.keys() == expected.keys()
            for key, values in expected.items():
                assert list(found[key]) == list(values), key


def test_ids_are_those_of_the_first_map_with_the_others_appended(
    parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    first, second = parts
    assert merge(first, second, f"--to={tmp_path / 'merged'}", "--num_shards=4") == 0
    assert_whole(tmp_path / "merged")
    maps = [label_map_of(folder).id_of for folder in (first, second, tmp_path / "merged")]
    assert {mid: maps[2][mid] for mid in maps[0]} == maps[0]
    assert maps[2].keys() == set(MIDS)
    # So that the second's ids do change.
    assert any(maps[2][mid] != maps[1][mid] for mid in maps[1])
    assert_merged(read(tmp_path / "merged"), [read(first), read(second)], maps[2])
    manifest = read_manifest(tmp_path / "merged")
    assert manifest["images"]["read"] == manifest["images"]["records"] == len(read(tmp_path / "merged"))
    for table in ("boxes", "human_labels"):
        written = [read_manifest(folder)["tables"][table]["written"] for folder in parts]
        assert manifest["tables"][table]["rows_read"] == manifest["tables"][table]["written"] == sum(written)
    derived = [(item["path"], item["fingerprint"]) for item in manifest["derived"]["from"]]
    assert derived == [(str(folder), read_manifest(folder)["fingerprint"]) for folder in parts]


def test_records_whose_ids_stay_are_copied(
    parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[bytes] = []

    def encode(features: Example) -> bytes:
        encoded.append(features["image/filename"][0])
        return encode_values(features)

    monkeypatch.setattr(derived_shard, "encode_values", encode)
    assert merge(*parts, f"--to={tmp_path / 'merged'}") == 0
    assert encoded
    assert not set(encoded) & read(parts[0]).keys()


def test_the_bytes_do_not_depend_on_the_workers(
    parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    for workers in (1, 2):
        assert merge(*parts, f"--to={tmp_path / str(workers)}", f"--workers={workers}", "--num_shards=3") == 0
    assert dataset(tmp_path / "1") == dataset(tmp_path / "2")


def test_a_given_label_map_is_used_unchanged(
    parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = label_map_of(parts[1])
    path = tmp_path / "given.pbtxt"
    path.write_text(format_pbtxt(whole))
    assert merge(*parts, f"--to={tmp_path / 'merged'}", f"--label_map={path}") == 1
    assert f"label_map: lacks 3 classes of the inputs: {MIDS[0]}" in (capsys.readouterr().err)
    ids = {mid: 100 - number for number, mid in enumerate(["/m/unused", *MIDS])}
    path.write_text("".join(f'item {{ name: "{mid}" id: {label_id} }}\n' for mid, label_id in ids.items()))
    assert merge(*parts, f"--to={tmp_path / 'merged'}", f"--label_map={path}") == 0
    assert_whole(tmp_path / "merged")
    assert label_map_of(tmp_path / "merged").id_of == ids
    assert_merged(read(tmp_path / "merged"), [read(folder) for folder in parts], ids)
    assert merge(*parts, f"--to={tmp_path / 'merged'}", "--overwrite") == 0
    assert label_map_of(tmp_path / "merged").id_of != ids


def test_an_image_of_two_inputs_is_an_error_or_comes_from_the_first(
    law: list[str], parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = parts
    # All images, with other classes than in the parts.
    assert main(["convert", *law, f"--output_dir={tmp_path / 'all'}", "--num_shards=5"]) == 0
    assert merge(first, tmp_path / "all", f"--to={tmp_path / 'merged'}") == 1
    problem = capsys.readouterr().err.splitlines()[-1]
    assert str(first / "train.tfrecord-") in problem
    assert str(tmp_path / "all" / "train.tfrecord-") in problem
    assert any(name.decode().removesuffix(".jpg") in problem for name in read(first))
    assert not (tmp_path / "merged" / "manifest.json").exists()

    arguments = (first, tmp_path / "all", second, f"--to={tmp_path / 'merged'}", "--on_duplicate=first", "--overwrite")
    assert merge(*arguments) == 0
    assert_whole(tmp_path / "merged")
    ids = label_map_of(tmp_path / "merged").id_of
    others = {name: example for name, example in read(tmp_path / "all").items() if name not in read(first)}
    assert_merged(read(tmp_path / "merged"), [read(first), others], ids)
    images = read_manifest(tmp_path / "merged")["images"]
    repeated = len(read(first)) + len(read(second))
    assert images["left_out"] == {"in_earlier_input": repeated}
    assert images["read"] == images["records"] + repeated


def test_an_image_in_another_split_of_another_input_counts_as_there(
    parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([
        "resample", str(parts[0]), "--split=train", f"--to={tmp_path / 'some'}", "--as=validation", "--cap=2",
    ]) == 0  # fmt: skip
    assert merge(*parts, tmp_path / "some", f"--to={tmp_path / 'merged'}") == 1
    assert "validation.tfrecord-00000-of-00001: has the image" in capsys.readouterr().err
    assert merge(tmp_path / "some", *parts, f"--to={tmp_path / 'merged'}", "--on_duplicate=first") == 1
    assert "give --overwrite" in capsys.readouterr().err
    assert merge(tmp_path / "some", *parts, f"--to={tmp_path / 'merged'}", "--on_duplicate=first", "--overwrite") == 0
    assert_whole(tmp_path / "merged")
    some = read(tmp_path / "some", "validation").keys()
    assert read(tmp_path / "merged", "validation").keys() == some
    assert read(tmp_path / "merged").keys() == (read(parts[0]) | read(parts[1])).keys() - some


def test_both_splits_of_the_sample_with_every_key_are_merged(
    exportable: pathlib.Path, parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    to = tmp_path / "merged"
    assert merge(parts[0], exportable, f"--to={to}") == 1
    assert f"{parts[0]} is without image/attribution/author" in capsys.readouterr().err
    assert merge(parts[0], exportable, f"--to={to}", "--common_keys", "--overwrite") == 0
    assert_whole(to)
    assert read_manifest(to)["config"]["extra_keys"] == []
    assert "image/machine_class/label" in read_manifest(to)["derived"]["keys_left_out"]
    assert next(iter(read(to).values())).keys() == next(iter(read(parts[0]).values())).keys()
    # No other input has this split.
    assert read_manifest(to, "validation")["images"]["records"] == len(read(exportable, "validation"))
    assert "image/machine_class/label" in next(iter(read(to, "validation").values()))


def test_a_run_that_stops_between_splits_is_resumed(
    exportable: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest = publish_split.write_manifest

    def stop_at_validation(output_dir: str, data: bytes, temporary_folder: str) -> None:
        if "validation" in json.loads(data)["splits"]:
            raise OSError(28, "No space left on device")
        write_manifest(output_dir, data, temporary_folder)

    assert merge(exportable, f"--to={tmp_path / 'whole'}", "--num_shards=2") == 0
    monkeypatch.setattr(publish_split, "write_manifest", stop_at_validation)
    assert merge(exportable, f"--to={tmp_path / 'merged'}", "--num_shards=2") == 1
    monkeypatch.undo()
    assert list(find_splits(str(tmp_path / "merged"), ["train"])) == ["train"]
    assert merge(exportable, f"--to={tmp_path / 'merged'}", "--num_shards=2") == 0
    assert dataset(tmp_path / "merged") == dataset(tmp_path / "whole")


def test_numeric_source_ids_stay_unique(
    law: list[str], parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in (0, 1):
        convert_part(law, tmp_path / f"n{part}", part, MIDS, "--num_shards=1", "--source_id=numeric")
    assert merge(tmp_path / "n0", parts[1], f"--to={tmp_path / 'merged'}") == 1
    assert "source ids of train are of several kinds" in capsys.readouterr().err
    assert merge(tmp_path / "n0", tmp_path / "n1", f"--to={tmp_path / 'merged'}", "--num_shards=3") == 0
    assert_whole(tmp_path / "merged")
    numbers = [int(example["image/source_id"][0]) for example in read(tmp_path / "merged").values()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 80


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--to=x", "--on_duplicate=last"), "on_duplicate: 'last' is none of error, first"),
        (("--to=x", "--split=test"), "split: no input has a split 'test'; there are: train"),
        (("--to=x", "--label_map=none.pbtxt"), "label_map: there is no file none.pbtxt"),
        (("--to=x", "--workers=-1"), "workers: -1 is not within"),
        ((), "to: is needed; give --to"),
        (("--to=x", "--on_duplicates=first"), "on_duplicates: is not a flag of this command or of Beam"),
    ],
)
def test_a_wrong_flag_is_named(
    parts: tuple[pathlib.Path, pathlib.Path], flags: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(*parts, *flags) == 1
    assert problem in capsys.readouterr().err


def test_an_input_is_given_once_and_is_not_the_output(
    parts: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(parts[0], f"{parts[0]}/", f"--to={tmp_path / 'merged'}") == 1
    assert "is given twice" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(parts[0])
    before = dataset(parts[0])
    for spelling in (parts[0], f"{parts[0].parent}/./{parts[0].name}", os.path.relpath(parts[0]), tmp_path / "link"):
        assert merge(*parts, f"--to={spelling}", "--overwrite") == 1
        assert "is one of the folders to merge" in capsys.readouterr().err
    assert dataset(parts[0]) == before
    before = dataset(parts[0])
    shutil.rmtree(tmp_path / "merged", ignore_errors=True)
    assert dataset(parts[0]) == before


def test_a_conversion_into_a_merged_split_is_refused(
    sample: pathlib.Path, exportable: pathlib.Path, tmp_path: pathlib.Path, run: Callable[..., Converted]
) -> None:
    assert merge(exportable, f"--to={tmp_path / 'merged'}") == 0
    converted = run(sample, tmp_path / "merged")
    assert converted.code == 1
    assert "give --overwrite" in converted.err


def test_masks_stay_with_their_boxes(tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "release", faults=False)
    assert main(["convert", *release.flags(tmp_path / "whole")]) == 0
    for part in ("train", "test"):
        flags = ["--split=train", "--folds=2", "--fold=0", f"--part={part}", "--as=train", f"--to={tmp_path / part}"]
        assert main(["resample", str(tmp_path / "whole"), *flags]) == 0
        assert_whole(tmp_path / part)
    assert merge(tmp_path / "train", tmp_path / "test", f"--to={tmp_path / 'merged'}") == 0
    assert_whole(tmp_path / "merged")
    shards = [find_splits(str(tmp_path / name))["train"].shards for name in ("whole", "merged")]
    whole, merged = ([data for shard in paths for _, data in read_shard(shard)] for paths in shards)
    assert whole == merged
    assert any(example["image/object/mask"] for example in read(tmp_path / "merged").values())
