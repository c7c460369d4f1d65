"""`verify --quick` on the generated sample, on a disk and in the buckets of an S3 server and a GCS emulator."""

import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.manifest import ENTRY_SHA256, digest_entry
from tests.conftest import convert_arguments
from tests.support.object_servers import Store, files_below

Quick = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def whole(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("quick") / "records"
    for split, flags in (("train", ()), ("validation", ("--shard_sha256",))):
        assert main(["convert", *convert_arguments(sample, folder, "--num_shards=2", *flags, split=split)]) == 0
    return folder


@pytest.fixture
def copied(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(whole, tmp_path / "records"))


@pytest.fixture
def quick(capfd: pytest.CaptureFixture[str]) -> Quick:
    def run(folder: object, *flags: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = main(["verify", str(folder), "--quick", "--format=json", *flags])
        return code, json.loads(capfd.readouterr().out)

    return run


def change_byte(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_whole_dataset_has_no_fault(whole: pathlib.Path, quick: Quick) -> None:
    code, report = quick(whole)
    assert (code, report["ok"], report["faults"]) == (0, True, [])
    for split in report["splits"].values():
        assert (split["shards"], split["checksums_read"], split["checksums_kept"], split["size_only"]) == (2, 2, 0, 0)
    splits = json.loads((whole / "manifest.json").read_text())["splits"]
    assert [sorted(split["shards"][0]) for split in splits.values()] == [
        ["bytes", "crc32c", "file", "records"], ["bytes", "crc32c", "file", "records", "sha256"],
    ]  # fmt: skip


def test_a_changed_byte_a_cut_shard_and_files_that_are_missing_or_too_many_are_faults(
    copied: pathlib.Path, quick: Quick
) -> None:
    first, second = sorted(copied.glob("train.tfrecord-*"))
    change_byte(first)
    code, report = quick(copied)
    assert (code, report["faults_by_kind"]) == (1, {"shard_crc32c": 1})
    assert report["faults"][0]["file"] == first.name
    first.write_bytes(first.read_bytes()[:-5])
    assert quick(copied)[1]["faults_by_kind"] == {"shard_crc32c": 1, "shard_size": 1}
    second.rename(copied / "train.tfrecord-00002-of-00003")
    kinds = quick(copied)[1]["faults_by_kind"]
    assert (kinds["shard_missing"], kinds["shard_stale"]) == (1, 1)


def test_both_checksums_are_compared(copied: pathlib.Path, quick: Quick) -> None:
    change_byte(min(copied.glob("validation.tfrecord-*")))
    assert quick(copied)[1]["faults_by_kind"] == {"shard_crc32c": 1, "shard_sha256": 1}


def test_the_files_beside_the_shards_are_compared(copied: pathlib.Path, quick: Quick) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["splits"]["train"]["totals"]["bytes"] += 1
    (copied / "manifest.json").write_text(json.dumps(manifest))
    (copied / "label_map.csv").write_text("id\n")
    kinds = quick(copied)[1]["faults_by_kind"]
    assert kinds["count"] >= 2
    assert kinds["label_map"] >= 1


def test_derived_splits_have_both_checksums_where_the_flag_is_given(
    whole: pathlib.Path, tmp_path: pathlib.Path, quick: Quick
) -> None:
    arguments = ["resample", str(whole), "--split=train", "--fraction=0.5", f"--to={tmp_path / 'some'}"]
    assert main([*arguments, "--shard_sha256"]) == 0
    assert main(["merge", str(whole), f"--to={tmp_path / 'merged'}", "--split=train"]) == 0
    for folder, checksums in ((tmp_path / "some", {"crc32c", "sha256"}), (tmp_path / "merged", {"crc32c"})):
        assert quick(folder)[1]["faults"] == []
        for shard in json.loads((folder / "manifest.json").read_text())["splits"]["train"]["shards"]:
            assert shard.keys() & {"crc32c", "sha256"} == checksums


def as_before(copied: pathlib.Path) -> None:
    """Makes a manifest as versions wrote that took the SHA-256 of shards alone."""
    manifest = json.loads((copied / "manifest.json").read_text())
    for entry in manifest["splits"].values():
        for shard in entry["shards"]:
            del shard["crc32c"]
            shard["sha256"] = hashlib.sha256((copied / shard["file"]).read_bytes()).hexdigest()
        del entry["config"]["shard_sha256"], entry["fingerprint"]["config"]["shard_sha256"]
        entry[ENTRY_SHA256] = digest_entry(entry)
    (copied / "manifest.json").write_text(json.dumps(manifest))


def test_manifests_that_have_a_sha256_alone_are_verified(copied: pathlib.Path, quick: Quick) -> None:
    as_before(copied)
    assert quick(copied)[1]["faults"] == []
    assert main(["verify", str(copied)]) == 0
    change_byte(min(copied.glob("train.tfrecord-*")))
    assert quick(copied)[1]["faults_by_kind"] == {"shard_sha256": 1}
    result = oi_tfrecord.verify(oi_tfrecord.VerifyOptions(str(copied)))
    assert result.fault_counts["shard_sha256"] == 1


@pytest.mark.parametrize("value", [None, "", "0123456g", 5])
def test_a_shard_without_a_valid_checksum_is_a_fault(value: object, copied: pathlib.Path, quick: Quick) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    entry = manifest["splits"]["train"]
    if value is None:
        del entry["shards"][0]["crc32c"]
    else:
        entry["shards"][0]["crc32c"] = value
    entry[ENTRY_SHA256] = digest_entry(entry)
    (copied / "manifest.json").write_text(json.dumps(manifest))
    code, report = quick(copied)
    assert code == 1
    assert "shards.0" in {fault["key"].removesuffix(".crc32c") for fault in report["faults"]}


def test_in_a_bucket_the_checksums_of_the_store_are_compared(
    store: Store, whole: pathlib.Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    files = dict(files_below(whole))
    first = "train.tfrecord-00000-of-00002"
    for name, data in files.items():
        store.put(f"records/{name}", data)
    folder = f"{store.root}/records"
    code, report = quick(folder, *store.flags())
    assert (code, report["faults"]) == (0, [])
    train = report["splits"]["train"]
    if store.scheme == "gs":
        assert (train["checksums_kept"], train["size_only"]) == (2, 0)
        store.put(f"records/{first}", files[first][:-1] + b"?")
        assert quick(folder, *store.flags())[1]["faults_by_kind"] == {"shard_crc32c": 1}
    else:
        assert (train["checksums_kept"] + train["size_only"], train["checksums_read"]) == (2, 0)
        store.put(f"records/{first}", files[first][:-1])
        assert quick(folder, *store.flags())[1]["faults_by_kind"]["shard_size"] == 1
    assert main(["verify", folder, "--quick", "--split=validation", *store.flags()]) == 0
    out = capfd.readouterr().out
    assert "no fault; records were not read" in out
    assert ("only the size was compared" in out) == bool(report["splits"]["validation"]["size_only"])


@pytest.mark.parametrize("flag", ["--decode", "--keys", "--runner=DataflowRunner"])
def test_what_needs_the_records_is_refused(flag: str, whole: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(whole), "--quick", flag]) == 1
    assert "error: quick: " in capfd.readouterr().err


def test_a_split_without_a_manifest_is_refused(copied: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    (copied / "manifest.json").unlink()
    assert main(["verify", str(copied), "--quick"]) == 1
    assert "none describes the split 'train'" in capfd.readouterr().err
