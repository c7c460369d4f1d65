"""The command on generated records whose classes follow a power law, and on the sample."""

import csv
import hashlib
import json
import math
import pathlib
import shutil
from collections import Counter
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset import publish_split
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.verification.verify import VerifyOptions, verify
from tests.support.power_law import write_power_law
from tests.support.small_release import dataset

Ids = dict[str, list[int]]


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_power_law(tmp_path_factory.mktemp("power") / "law")


@pytest.fixture(scope="module")
def records(law: list[str], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("records") / "of_7"
    assert main(["convert", *law, f"--output_dir={folder}", "--num_shards=7"]) == 0
    return folder


@pytest.fixture(scope="module")
def in_three_shards(law: list[str], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("records") / "of_3"
    assert main(["convert", *law, f"--output_dir={folder}", "--num_shards=3"]) == 0
    return folder


def resample(folder: pathlib.Path, *flags: str, split: str = "train") -> int:
    return main(["resample", str(folder), f"--split={split}", *flags])


def read_classes(folder: pathlib.Path, split: str = "train") -> Ids:
    """Returns the ids of the boxes of each image, in the order of the records."""
    found = {}
    for shard in find_splits(str(folder), [split])[split].shards:
        for _, data in read_shard(shard):
            example: dict[str, Any] = parse_example(data)
            found[example["image/source_id"][0].decode()] = example["image/object/class/label"].tolist()
    return found


def read_manifest(folder: pathlib.Path, split: str = "train") -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())["splits"][split]


def images_per_class(images: Ids) -> Counter[int]:
    return Counter(label for labels in images.values() for label in set(labels))


def assert_whole(folder: pathlib.Path) -> None:
    result = verify(VerifyOptions(str(folder)))
    assert [str(fault) for fault in result.faults] == []


def assert_part_of(folder: pathlib.Path, records: pathlib.Path, reason: str) -> None:
    """Asserts that each record is as it was, and that the manifest accounts for the others."""
    theirs = [data for shard in find_splits(str(records))["train"].shards for _, data in read_shard(shard)]
    ours = [data for shard in find_splits(str(folder))["train"].shards for _, data in read_shard(shard)]
    kept = set(ours)
    # Hash order does not depend on the number of shards.
    assert [data for data in theirs if data in kept] == ours
    manifest = read_manifest(folder)
    left_out = len(theirs) - len(ours)
    assert (manifest["images"]["read"], manifest["images"]["records"]) == (len(theirs), len(ours))
    assert manifest["images"]["left_out"] == ({reason: left_out} if left_out else {})
    original = read_manifest(records)
    for table in ("boxes", "human_labels"):
        balance = manifest["tables"][table]
        assert balance["rows_read"] == original["tables"][table]["written"]
        assert balance["rows_read"] == balance["written"] + balance["dropped"].get(reason, 0)
    boxes = Counter(label for labels in read_classes(folder).values() for label in labels)
    assert {item["id"]: item["boxes"] for item in manifest["classes"] if item["boxes"]} == dict(boxes)
    [source] = manifest["derived"]["from"]
    assert (source["path"], source["fingerprint"]) == (str(records), original["fingerprint"])


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_fraction_keeps_the_share_of_each_stratum(
    records: pathlib.Path, tmp_path: pathlib.Path, share: float
) -> None:
    assert resample(records, f"--to={tmp_path / 'part'}", f"--fraction={share}", "--num_shards=2") == 0
    assert_whole(tmp_path / "part")
    assert_part_of(tmp_path / "part", records, "not_in_subset")
    before, after = read_classes(records), read_classes(tmp_path / "part")
    boxes = {item["id"]: item["boxes"] for item in read_manifest(records)["classes"]}
    assert min(boxes.values()) >= 1
    strata = {
        image: min(labels, key=lambda label: (boxes[label], label)) if labels else 0 for image, labels in before.items()
    }
    added = 0
    for stratum, count in Counter(strata.values()).items():
        kept = sum(strata[image] == stratum for image in after)
        # Rounded to the nearest, and more only where a class would have no image.
        assert kept >= math.floor(share * count + 0.5)
        added += kept - math.floor(share * count + 0.5)
    assert added <= len(boxes)
    assert images_per_class(after).keys() == images_per_class(before).keys()


def test_a_cap_keeps_the_first_images_of_each_class(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert resample(records, f"--to={tmp_path / 'part'}", "--cap=8", "--num_shards=2") == 0
    assert_whole(tmp_path / "part")
    assert_part_of(tmp_path / "part", records, "over_cap")
    before = read_classes(records)
    wanted: set[str] = set()
    for label in [None, *images_per_class(before)]:
        wanted |= set(
            [image for image, labels in before.items() if label in labels or (label, labels) == (None, [])][:8]
        )
    assert read_classes(tmp_path / "part").keys() == wanted
    rarest = images_per_class(before).most_common()[-1]
    assert rarest[1] < 8
    assert images_per_class(read_classes(tmp_path / "part"))[rarest[0]] == rarest[1]


def test_folds_are_disjoint_and_cover_the_split(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    tests = []
    for fold in range(3):
        for part in ("train", "test"):
            code = resample(
                records, f"--to={tmp_path / str(fold)}", f"--as={part}_{fold}", "--folds=3", f"--fold={fold}",
                f"--part={part}",
            )  # fmt: skip
            assert code == 0
        # The two parts of a fold are in one folder, where no image may be twice.
        assert_whole(tmp_path / str(fold))
        parts = [read_classes(tmp_path / str(fold), f"{part}_{fold}").keys() for part in ("train", "test")]
        assert parts[0] | parts[1] == read_classes(records).keys()
        assert not parts[0] & parts[1]
        tests.append(parts[1])
    assert sum(map(len, tests)) == len(read_classes(records))
    assert set().union(*tests) == read_classes(records).keys()


@pytest.mark.parametrize("flag", ["--fraction=0.2", "--cap=5", "--folds=4"])
def test_the_records_do_not_depend_on_the_shards_of_the_input(
    records: pathlib.Path, in_three_shards: pathlib.Path, tmp_path: pathlib.Path, flag: str
) -> None:
    more = ["--num_shards=3", "--repeat_threshold=0.1", *(["--fold=1"] if "folds" in flag else [])]
    written = []
    for name, folder in (("one", records), ("other", in_three_shards)):
        assert resample(folder, f"--to={tmp_path / name}", flag, *more) == 0
        written.append(dataset(tmp_path / name))
        # The manifest names the source.
        del written[-1]["manifest.json"]
    assert written[0] == written[1]


def test_the_bytes_do_not_depend_on_the_workers_or_on_beam(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name, more in (("1", ()), ("2", ("--job_name=through_beam",))):
        flags = ("--fraction=0.3", "--num_shards=3", "--repeat_threshold=0.1", f"--workers={name}", *more)
        assert resample(records, f"--to={tmp_path / name}", *flags) == 0
    assert dataset(tmp_path / "1") == dataset(tmp_path / "2")


def test_weights_are_repeat_factors_of_the_records_beside_them(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert resample(records, f"--to={tmp_path / 'part'}", "--cap=20", "--repeat_threshold=0.25") == 0
    assert_whole(tmp_path / "part")
    images = read_classes(tmp_path / "part")
    counts = images_per_class(images)
    data = (tmp_path / "part" / "weights-train.csv").read_bytes()
    header, *rows = csv.reader(data.decode().splitlines())
    assert header == ["ImageID", "Weight"]
    assert [row[0] for row in rows] == list(images)
    factors = {label: max(1, math.sqrt(0.25 / (count / len(images)))) for label, count in counts.items()}
    for image, weight in rows:
        assert float(weight) == pytest.approx(max([1, *(factors[label] for label in images[image])]), abs=1e-6)
    assert max(factors.values()) > 2
    weights = read_manifest(tmp_path / "part")["weights"]
    assert (weights["bytes"], weights["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {item["id"]: item["images"] for item in weights["classes"] if item["images"]} == dict(counts)
    assert {item["id"]: item["weight"] for item in weights["classes"] if item["images"]} == pytest.approx(factors)


def test_weights_alone_leave_the_records_as_they_are(
    records: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pathlib.Path(shutil.copytree(records, tmp_path / "records"))
    before = dataset(folder)
    manifest = read_manifest(folder)
    assert resample(folder, "--repeat_threshold=0.1") == 0
    after = dataset(folder)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"manifest.json", "weights-train.csv"}
    others = {name: value for name, value in read_manifest(folder).items() if name != "weights"}
    assert others | {"entry_sha256": manifest["entry_sha256"]} == manifest
    assert_whole(folder)
    assert resample(folder, "--repeat_threshold=0.2") == 1
    assert "has weights already; give --overwrite" in capsys.readouterr().err
    assert resample(folder, "--repeat_threshold=0.2", "--overwrite") == 0
    assert read_manifest(folder)["weights"]["repeat_threshold"] == 0.2


def test_labels_can_be_the_classes_of_an_image(records: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert resample(records, f"--to={tmp_path / 'part'}", "--cap=4", "--by=labels") == 0
    assert_whole(tmp_path / "part")
    positive: dict[str, set[int]] = {}
    for shard in find_splits(str(records))["train"].shards:
        for _, data in read_shard(shard):
            example: dict[str, Any] = parse_example(data)
            pairs = zip(example["image/class/label"].tolist(), example["image/class/confidence"].tolist(), strict=True)
            positive[example["image/source_id"][0].decode()] = {label for label, present in pairs if present} or {0}
    wanted = {
        image
        for label in set().union(*positive.values())
        for image in [image for image, labels in positive.items() if label in labels][:4]
    }
    assert read_classes(tmp_path / "part").keys() == wanted


def test_a_run_that_fails_leaves_no_split_and_is_resumed(
    records: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--cap=5", "--num_shards=4")
    assert resample(records, f"--to={tmp_path / 'whole'}", *flags) == 0

    def fill_disk(*arguments: object) -> None:
        raise OSError(28, "No space left")

    monkeypatch.setattr(publish_split, "write_manifest", fill_disk)
    assert resample(records, f"--to={tmp_path / 'part'}", *flags) == 1
    assert not (tmp_path / "part" / "manifest.json").exists()
    monkeypatch.undo()
    (tmp_path / "part" / "train.tfrecord-00002-of-00004").unlink()
    capsys.readouterr()
    assert resample(records, f"--to={tmp_path / 'part'}", *flags) == 0
    assert "Resuming: 3 of 4 shards are finished" in capsys.readouterr().err
    assert dataset(tmp_path / "part") == dataset(tmp_path / "whole")


def test_a_finished_split_is_replaced_with_overwrite_only(
    records: pathlib.Path, law: list[str], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = f"--to={tmp_path / 'part'}"
    assert resample(records, to, "--cap=5", "--repeat_threshold=0.1") == 0
    before = dataset(tmp_path / "part")
    assert resample(records, to, "--cap=5", "--repeat_threshold=0.1") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert resample(records, to, "--cap=6") == 1
    assert "differs in: --cap, --repeat_threshold; give --overwrite" in capsys.readouterr().err
    assert main(["convert", *law, f"--output_dir={tmp_path / 'part'}"]) == 1
    assert "give --overwrite" in capsys.readouterr().err
    assert dataset(tmp_path / "part") == before
    assert resample(records, to, "--cap=6", "--overwrite") == 0
    assert not (tmp_path / "part" / "weights-train.csv").exists()
    assert_whole(tmp_path / "part")
    assert resample(records, f"--to={records}", "--as=part", "--cap=6") == 1
    assert "would have images in two splits" in capsys.readouterr().err


def test_a_damaged_or_changed_shard_is_named(
    records: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pathlib.Path(shutil.copytree(records, tmp_path / "records"))
    shard = folder / "train.tfrecord-00003-of-00007"
    whole = shard.read_bytes()
    for data, problem in ((whole[:200] + b"\0" + whole[201:], "CRC"), (whole[:-5], "cut off"), (b"", "has 0 records")):
        shard.write_bytes(data)
        assert resample(folder, f"--to={tmp_path / 'part'}", "--cap=5", "--overwrite") == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"error: {shard}: ")
        assert problem in line
        assert not (tmp_path / "part" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "error: fraction: give --image_ids, --fraction, --cap or --folds"),
        (("--fraction=0.1",), "error: to: is missing"),
        (("--to=x", "--fraction=2"), "error: fraction: 2 is not above 0"),
        (("--to=x", "--cap=-1"), "error: cap: -1 is not within 1 to"),
        (("--to=x", "--cap=0"), "error: fraction: give --image_ids, --fraction, --cap or --folds"),
        (("--to=x", "--cap=5", "--fraction=0.1"), "error: fraction: give one of"),
        (("--to=x", "--folds=5", "--fold=5"), "error: fold: must be 0 to 4"),
        (("--to=x", "--folds=5"), "error: fold: must be 0 to 4"),
        (("--to=x", "--fold=1", "--cap=3"), "error: folds: is missing"),
        (("--to=x", "--folds=5", "--fold=0", "--part=both"), "error: part: 'both' is none of"),
        (("--to=x", "--repeat_threshold=nan"), "error: repeat_threshold"),
        (("--to=x", "--cap=3", "--by=box"), "error: by: 'box' is none of boxes, labels; did you mean 'boxes'?"),
        (("--to=x", "--cap=3", "--as=a/b"), "error: as: 'a/b' is no name"),
        (("--to=x", "--capp=3"), "error: capp: is not a flag of this command or of Beam; did you mean '--cap'?"),
        (("--as=x", "--repeat_threshold=0.1"), "error: as: names a new split"),
        (("--to=x", "--cap=3", "--num_shards=-1"), "error: num_shards"),
    ],
)
def test_a_wrong_flag_is_named(
    records: pathlib.Path, flags: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resample(records, *flags) == 1
    assert problem in capsys.readouterr().err


def test_the_sample_with_every_key_is_resampled(
    exportable: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "validation"):
        assert resample(exportable, f"--to={tmp_path / 'part'}", "--fraction=1/3", split=split) == 0
    assert_whole(tmp_path / "part")
    machine = read_manifest(tmp_path / "part")["tables"]["machine_labels"]
    assert machine["rows_read"] == machine["written"] + sum(machine["dropped"].values()) > machine["written"] > 0
    assert resample(exportable, f"--to={tmp_path / 'part'}", "--cap=3", split="test") == 1
    assert "there is no split 'test'" in capsys.readouterr().err


def test_third_party_records_are_refused(
    records: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    shutil.copy(records / "train.tfrecord-00003-of-00007", tmp_path / "theirs")
    assert resample(tmp_path / "theirs", f"--to={tmp_path / 'part'}", "--cap=3") == 1
    assert "oi-tfrecord convert" in capsys.readouterr().err


def test_the_images_of_a_list_are_taken(
    records: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = list(read_classes(records))
    wanted = every[::5]
    listed = tmp_path / "ids.txt"
    listed.write_text("".join(f"{image_id}\n" for image_id in [*wanted, "f" * 16]))
    assert resample(records, f"--to={tmp_path / 'part'}", f"--image_ids={listed}") == 0
    assert list(read_classes(tmp_path / "part")) == wanted
    manifest = read_manifest(tmp_path / "part")
    assert manifest["images"]["left_out"] == {"not_in_image_list": len(every) - len(wanted)}
    assert "1 ImageIDs of the list are in no record" in capsys.readouterr().err
    assert verify(VerifyOptions(str(tmp_path / "part"))).ok
    # The manifest keeps a digest of the list, so that another list is another run.
    assert hashlib.sha256(listed.read_bytes()).hexdigest() in json.dumps(manifest)


def test_a_list_with_splits_file_names_or_a_missing_file(
    records: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = list(read_classes(records))[:2]
    listed = tmp_path / "ids.txt"
    listed.write_text(f"train/{first}.jpg\nvalidation/{second}.jpg\n")
    assert resample(records, f"--to={tmp_path / 'part'}", f"--image_ids={listed}") == 0
    assert list(read_classes(tmp_path / "part")) == [first]
    assert resample(records, f"--to={tmp_path / 'b'}", f"--image_ids={tmp_path / 'none'}") == 1
    assert "image_ids: there is no file" in capsys.readouterr().err
    assert resample(records, f"--to={tmp_path / 'b'}", f"--image_ids={listed}", "--cap=1") == 1
