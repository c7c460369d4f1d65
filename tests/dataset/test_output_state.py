import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from oi_tfrecord import storage
from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.cli.main import main
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.dataset.accounts import ShardAccount, encode_account
from oi_tfrecord.dataset.output_state import earlier_num_shards, prepare_output, read_split
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.shard_names import shard_file
from tests.support import small_release
from tests.support.small_release import Release, convert

OTHER_VALUES = {
    "num_shards": 4,
    "attribution_csv": "true",
    "select": "boxed",
    "label_order": "mid",
    "classes": small_release.MIDS[0],
    "min_box_side": 0.25,
    "sample": 0.5,
    "extra_keys": "attribution",
    "image_mode": "verify",
    "max_image_pixels": 10_000_000,
    "csv_block_mb": 1,
}
SHAPELESS = {"max_rejects": "50%", "read_threads": 3, "workers": 1}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)


def plan_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, **flags)).config)


def run(release: Release, output_dir: pathlib.Path, **flags: object) -> dict[str, bytes]:
    assert convert(release.flags(output_dir, workers=1, **flags)) == 0
    return small_release.dataset(output_dir)


def shard_result(plan: ConvertPlan, shard: int, size: int) -> bytes:
    name = f"train.tfrecord-{shard:05d}-of-{plan.num_shards:05d}"
    values: dict[str, Any] = {field.name: 0 for field in dataclasses.fields(ShardAccount)}
    for field in dataclasses.fields(ShardAccount):
        if "dict" in str(field.type):
            values[field.name] = {}
        elif field.type is str:
            values[field.name] = ""
    return encode_account(ShardAccount(**values | {"shard": shard, "file": name, "size": size, "crc32c": ""}))


def test_an_empty_folder_is_made_ready(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path / "not" / "there")
    state = prepare_output(plan.target)
    assert (state.finished, state.complete) == (frozenset(), None)
    assert plan.work.fingerprint() == plan.fingerprint
    assert os.path.isdir(plan.work.temporary)


def test_a_shard_with_an_account_and_a_whole_file_is_finished(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    for shard in (0, 1, 2):
        plan.work.write_result(shard, shard_result(plan, shard, 10))
    # 0 is whole, 1 has no file, 2 has another size, 3 has no account.
    for shard, size in ((0, 10), (2, 9), (3, 10)):
        (tmp_path / f"train.tfrecord-{shard:05d}-of-00005").write_bytes(b"x" * size)
    state = prepare_output(plan.target)
    assert state.finished == {0}


def test_a_rerun_removes_half_written_files(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    for folder in (plan.work.temporary, plan.work.shuffle):
        (pathlib.Path(folder) / "half").write_bytes(b"x")
    prepare_output(plan.target)
    assert os.listdir(plan.work.temporary) == os.listdir(plan.work.shuffle) == []


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_another_configuration_is_refused_naming_the_flag(name: str, release: Release, tmp_path: pathlib.Path) -> None:
    prepare_output(plan_of(release, tmp_path).target)
    with pytest.raises(ConfigError) as caught:
        prepare_output(plan_of(release, tmp_path, **{name: OTHER_VALUES[name]}).target)
    message = str(caught.value)
    assert "interrupted" in message
    differs = message[message.index("differs in: ") + len("differs in: ") : message.index(";")]
    assert differs == f"--{name}"
    assert "--overwrite" in message


def test_a_finished_conversion_of_another_configuration_is_refused_naming_every_flag(
    release: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(release, tmp_path)
    assert main(["convert", *release.flags(tmp_path, select="boxed", num_shards=3)]) == 1
    message = capsys.readouterr().err
    assert "finished" in message
    assert "--select, --num_shards;" in message
    assert small_release.dataset(tmp_path) == before


def test_other_inputs_are_refused_naming_the_file(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    prepare_output(plan_of(release, tmp_path / "out").target)
    path = release.folder / "train" / "annotations-human-bbox.csv"
    path.write_bytes(path.read_bytes() + b"0000000000000000,xclick,/m/01g317,1,0.1,0.2,0.1,0.2\n")
    with pytest.raises(ConfigError, match=r"differs in: annotations-human-bbox\.csv;"):
        prepare_output(plan_of(release, tmp_path / "out").target)


def test_other_class_files_are_refused(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    prepare_output(plan_of(release, tmp_path / "out").target)
    (release.folder / "classes-bbox-trainable.txt").write_text(small_release.MIDS[1] + "\n")
    with pytest.raises(ConfigError, match="differs in: class files;"):
        prepare_output(plan_of(release, tmp_path / "out").target)


@pytest.mark.parametrize("name", SHAPELESS)
def test_a_setting_that_does_not_change_the_output_may_differ(
    name: str, release: Release, tmp_path: pathlib.Path
) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    plan.work.write_result(1, shard_result(plan, 1, 3))
    (tmp_path / "train.tfrecord-00001-of-00005").write_bytes(b"xyz")
    assert list(prepare_output(plan_of(release, tmp_path, **{name: SHAPELESS[name]}).target).finished) == [1]


def test_foreign_shards_are_refused_and_kept(release: Release, tmp_path: pathlib.Path) -> None:
    foreign = tmp_path / "train.tfrecord-00000-of-00002"
    foreign.write_bytes(b"mine")
    for name in ("validation.tfrecord-00000-of-00002", "train.tfrecord-more", "other-train.tfrecord-00000-of-00002"):
        (tmp_path / name).write_bytes(b"foreign")
    with pytest.raises(ConfigError, match=r"no manifest names \(train\.tfrecord-00000-of-00002, .*--overwrite"):
        prepare_output(plan_of(release, tmp_path).target)
    assert foreign.read_bytes() == b"mine"
    prepare_output(plan_of(release, tmp_path, overwrite="true").target)
    assert not foreign.exists()
    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 3


def test_overwrite_leaves_no_stale_shard_and_replaces_the_entry(release: Release, tmp_path: pathlib.Path) -> None:
    run(release, tmp_path / "out", num_shards=7, select="boxed")
    after = run(release, tmp_path / "out", num_shards=2, overwrite="true")
    assert after == run(release, tmp_path / "fresh", num_shards=2)
    manifest = json.loads(after["manifest.json"])
    assert list(manifest["splits"]) == ["train"]
    assert [shard["file"] for shard in manifest["splits"]["train"]["shards"]] == [
        name for name in sorted(after) if ".tfrecord-" in name
    ]


def test_an_overwrite_that_is_killed_before_the_shards_leaves_no_other_file_of_the_split(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(release, tmp_path / "out", num_shards=3, attribution_csv="true")
    delete_all = storage.delete_all

    def stop_before_shards(folder: str, names: Sequence[str]) -> None:
        if any(".tfrecord-" in name for name in names):
            raise KeyboardInterrupt
        delete_all(folder, names)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "delete_all", stop_before_shards)
        with pytest.raises(KeyboardInterrupt):
            prepare_output(plan_of(release, tmp_path / "out", num_shards=2, overwrite="true").target)
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    shards = {name for name in names if name.startswith("train.tfrecord-")}
    assert len(shards) == 3
    of_folder = {"dataset_info.json", "features.json", "label_map.csv", "label_map.pbtxt", "manifest.json"}
    assert {name for name in names - shards if not name.startswith(".oi_tfrecord-train/")} <= of_folder
    with pytest.raises(ConfigError, match="give --overwrite"):
        prepare_output(plan_of(release, tmp_path / "out", num_shards=2).target)


@pytest.mark.parametrize(("flags", "kept"), [({}, {1}), ({"select": "boxed"}, set())])
def test_overwrite_resumes_the_same_conversion_and_replaces_another(
    release: Release, tmp_path: pathlib.Path, flags: dict[str, str], kept: set[int]
) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    plan.work.write_result(1, shard_result(plan, 1, 3))
    (tmp_path / "train.tfrecord-00001-of-00005").write_bytes(b"xyz")
    assert prepare_output(plan_of(release, tmp_path, overwrite="true", **flags).target).finished == kept
    assert len(list(plan.work.results())) == len(kept)


def test_accounts_without_a_fingerprint_are_not_used(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    plan.work.write_result(1, shard_result(plan, 1, 3))
    os.unlink(os.path.join(plan.work.path, "fingerprint.json"))
    prepare_output(plan.target)
    assert list(plan.work.results()) == []


def test_another_split_keeps_the_first(release: Release, tmp_path: pathlib.Path) -> None:
    first = run(release, tmp_path)
    tables = {table: f"train/{name}" for table, name in small_release.TABLES.items()}
    both = run(release, tmp_path, split="validation", num_shards=2, **tables)
    manifest = json.loads(both["manifest.json"])
    assert list(manifest["splits"]) == ["train", "validation"]
    assert manifest["splits"]["train"] == json.loads(first["manifest.json"])["splits"]["train"]
    assert {name: data for name, data in both.items() if name in first} == first | {
        name: both[name] for name in ("manifest.json", "dataset_info.json")
    }
    assert len(small_release.shards(tmp_path, "validation")) == 2
    # A rerun of either split has nothing to do.
    assert prepare_output(plan_of(release, tmp_path).target).complete == manifest["splits"]["train"]
    # Overwriting one split keeps the other.
    again = run(release, tmp_path, num_shards=3, overwrite="true")
    assert small_release.shards(tmp_path, "validation") == {
        name: data for name, data in both.items() if name.startswith("validation.")
    }
    splits = json.loads(again["manifest.json"])["splits"]
    assert splits["validation"] == manifest["splits"]["validation"]
    assert len(splits["train"]["shards"]) == 3


@pytest.mark.parametrize("order", ["mid", "frequency"])
@pytest.mark.parametrize("overwrite", ["false", "true"])
def test_a_label_map_that_another_split_uses_is_not_replaced(
    overwrite: str, order: str, release: Release, tmp_path: pathlib.Path
) -> None:
    run(release, tmp_path)
    # The folder holds two splits, and one is converted again with another label map.
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    manifest["splits"]["validation"] = manifest["splits"]["train"]
    if overwrite == "false":
        del manifest["splits"]["train"]
        for path in tmp_path.glob("train.*"):
            path.unlink()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    reversed_list = tmp_path / "reversed.txt"
    reversed_list.write_text("".join(mid + "\n" for mid in reversed(small_release.MIDS)))
    before = small_release.dataset(tmp_path)
    flags = {"overwrite": overwrite, "class_list": reversed_list, "label_order": order}
    if order == "mid":
        # The class list happens to be sorted by MID, so the order of MIDs would give the same label map.
        flags["label_order"] = "list"
    with pytest.raises(ConfigError, match="belongs to validation") as caught:
        prepare_output(plan_of(release, tmp_path, **flags).target)
    assert caught.value.field == "label_map"
    assert f"--label_map={tmp_path}/label_map.pbtxt" in str(caught.value)
    assert small_release.dataset(tmp_path) == before
    prepare_output(plan_of(release, tmp_path, **flags, label_map=tmp_path / "label_map.pbtxt").target)


def test_a_complete_conversion_is_found_and_its_work_folder_removed(release: Release, tmp_path: pathlib.Path) -> None:
    run(release, tmp_path)
    plan = plan_of(release, tmp_path)
    # As if a run was killed while it deleted its work folder.
    plan.work.delete_results([0])
    assert prepare_output(plan.target).complete == read_split(str(tmp_path), "train")
    assert not os.path.exists(plan.work.path)


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_dataset_with_a_damaged_shard_is_refused(damage: str, release: Release, tmp_path: pathlib.Path) -> None:
    run(release, tmp_path)
    path = tmp_path / shard_file("train", 0, plan_of(release, tmp_path).num_shards)
    assert path.name == "train.tfrecord-00000-of-00005"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="--overwrite"):
        prepare_output(plan_of(release, tmp_path).target)


def test_the_number_of_shards_of_an_earlier_run_is_found(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    assert earlier_num_shards(plan.target) == 0
    prepare_output(plan.target)
    assert earlier_num_shards(plan_of(release, tmp_path, num_shards=0).target) == 5
    run(release, tmp_path)
    assert earlier_num_shards(plan_of(release, tmp_path, num_shards=0).target) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '{"splits": 3}'])
def test_a_file_that_is_no_manifest_is_refused(text: str, release: Release, tmp_path: pathlib.Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        prepare_output(plan_of(release, tmp_path).target)
    assert (tmp_path / "manifest.json").read_text() == text


def test_a_rerun_may_name_the_planned_number_of_shards(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path, num_shards=0).with_shards(3)
    prepare_output(plan.target)
    plan.work.write_result(1, shard_result(plan, 1, 3))
    (tmp_path / "train.tfrecord-00001-of-00003").write_bytes(b"xyz")
    assert list(prepare_output(plan_of(release, tmp_path, num_shards=3).target).finished) == [1]


def test_a_setting_of_a_later_version_is_named(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    path = pathlib.Path(plan.work.path) / "fingerprint.json"
    later = json.loads(path.read_bytes())
    later["config"]["colour"] = "grey"
    later["record_format"] += 1
    path.write_text(json.dumps(later))
    with pytest.raises(ConfigError, match="differs in: --colour, version of oi_tfrecord;"):
        prepare_output(plan.target)
