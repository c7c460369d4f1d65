"""What all commands have in common: how they end on an error that a user can correct."""

import json
import pathlib
import shutil
from typing import Any

import pytest

from oi_tfrecord.cli.commands import COMMANDS
from oi_tfrecord.cli.main import main
from tests.conftest import REPOSITORY, convert_arguments

FLAGS = {
    "browse": ["{folder}", "--port=0"],
    "convert": [
        "--config=v3",
        "--split=train",
        "--data_dir={folder}",
        "--images={folder}/{{image_id}}.jpg",
        "--output_dir={folder}",
    ],
    "download": ["--config=v3", "--split=train", "--data_dir={folder}", "--image_urls=original", "--output_dir={new}"],
    "evaluate": ["{folder}", "--split=train", "--detections={new}.json"],
    "export": ["{folder}", "--to={new}"],
    "fetch": ["--config=v3", "--split=train", "--data_dir={folder}"],
    "merge": ["{folder}", "--to={new}"],
    "report": ["{folder}"],
    "resample": ["{folder}", "--split=train", "--to={new}", "--cap=1"],
    "sample": ["--output_dir={new}"],
    "show": ["{folder}/train.tfrecord-00000-of-00003"],
    "training-config": ["{folder}", "--model=ssd", "--eval=train"],
    "verify": ["{folder}"],
}
"""Complete flags of each command."""
OF_FOLDERS = ("browse", "evaluate", "export", "merge", "report", "resample", "show", "training-config", "verify")
"""What reads a folder of records, and so its label map."""
BY_FLAG = ("convert", "merge", "show", "verify")
"""What reads the label map of --label_map."""


def flags_of(command: str, folder: pathlib.Path | str, new: pathlib.Path) -> list[str]:
    return [flag.format(folder=folder, new=new) for flag in FLAGS[command]]


def only_error(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_that_is_unknown_or_has_no_value_is_one_line(
    command: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = flags_of(command, tmp_path / "none", tmp_path / "new")
    assert main([command, *flags, "--nonsense=1"]) == 1
    assert "nonsense" in only_error(capfd)
    assert main([command, *flags[:-1], flags[-1].partition("=")[0], "--output_dir"]) == 1
    only_error(capfd)
    assert main([command]) == 1
    only_error(capfd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("sample", "fetch")])
def test_a_folder_that_is_not_there_is_one_line(
    command: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *flags_of(command, tmp_path / "none", tmp_path / "new")]) == 1
    assert str(tmp_path) in only_error(capfd)


@pytest.mark.parametrize(
    ("folder", "printed"),
    [("hdfs://records", "hdfs_host is not set"), ("nope://records", "no storage is known by nope://")],
)
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "sample"])
def test_a_storage_that_is_unknown_or_lacks_its_flags_is_one_line(
    command: str, folder: str, printed: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *flags_of(command, folder, tmp_path / "new")]) == 1
    line = only_error(capfd)
    assert line.startswith(f"error: {folder}")
    assert printed in line
    assert "--hdfs_host" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_the_keyboard_ends_a_command_in_one_line(
    command: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oi_tfrecord.cli.command_line.parse_command_line", interrupt)
    assert main([command, *flags_of(command, tmp_path, tmp_path / "new")]) == 130
    assert "interrupted" in only_error(capfd)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_ends_well_and_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"oi-tfrecord {command} " in capsys.readouterr().out


def spoil_label_map(folder: pathlib.Path) -> None:
    (folder / "label_map.pbtxt").write_bytes(b"\xff\xfe item {")


def break_label_map(folder: pathlib.Path) -> None:
    (folder / "label_map.pbtxt").write_text("item { id: x")


def spoil_manifest(folder: pathlib.Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xff\xfe{}")


def cut_manifest(folder: pathlib.Path) -> None:
    data = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(data[: len(data) // 2])


def empty_entry(folder: pathlib.Path) -> None:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    shards = manifest["splits"]["train"]["shards"]
    manifest["splits"] = {"train": {"shards": [{"file": shard["file"]} for shard in shards]}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def cut_shard(folder: pathlib.Path) -> None:
    path = folder / "train.tfrecord-00000-of-00003"
    path.write_bytes(path.read_bytes()[:-7])


def remove_shard(folder: pathlib.Path) -> None:
    (folder / "train.tfrecord-00000-of-00003").unlink()


def spoil_rejects(folder: pathlib.Path) -> None:
    (folder / "rejects-train.csv").write_bytes(b"\xff\xfe\n\xff")


def replace_rejects_by_a_folder(folder: pathlib.Path) -> None:
    (folder / "rejects-train.csv").unlink()
    (folder / "rejects-train.csv").mkdir()


def spoil_attribution(folder: pathlib.Path) -> None:
    (folder / "ATTRIBUTION-train.csv").write_bytes(b"")


BREAKS = (
    spoil_label_map, break_label_map, spoil_manifest, cut_manifest, empty_entry, cut_shard, remove_shard, spoil_rejects,
    replace_rejects_by_a_folder, spoil_attribution,
)  # fmt: skip


@pytest.mark.parametrize("spoil", BREAKS)
@pytest.mark.parametrize("command", OF_FOLDERS)
def test_no_damage_of_a_dataset_ends_in_a_traceback(
    command: str,
    spoil: Any,
    exportable: pathlib.Path,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aiohttp.web.run_app", lambda *arguments, **keywords: arguments[1:2])
    folder = tmp_path / "records"
    shutil.copytree(exportable, folder)
    spoil(folder)
    (tmp_path / "new.json").write_text("[]")
    code = main([command, *flags_of(command, folder, tmp_path / "new")])
    err = capfd.readouterr().err
    assert code in (0, 1)
    # merge and resample print their progress, too; verify prints faults elsewhere.
    printed = sum(line.startswith("error: ") for line in err.splitlines())
    assert printed == code or (command == "verify" and printed == 0)
    assert "Traceback" not in err


DAMAGED_LABEL_MAPS = {
    b'item { name: "/m/01" id: 1 }\n# caf\xe9\n': "line 2: the text is not UTF-8. Save the file as UTF-8.",
    b'item { name: "/m/01" id: 1 }\nitem { id: 2 }\n': "line 2: the item has no name. Give each item a name and an id.",
}


@pytest.mark.parametrize("data", DAMAGED_LABEL_MAPS, ids=["latin 1", "malformed"])
@pytest.mark.parametrize(
    ("command", "given"), [*((name, False) for name in OF_FOLDERS), *((name, True) for name in BY_FLAG)]
)
def test_each_command_says_the_same_of_a_damaged_label_map(
    command: str,
    given: bool,
    data: bytes,
    sample: pathlib.Path,
    exportable: pathlib.Path,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if command == "convert":
        flags = convert_arguments(sample, tmp_path / "new")
    else:
        folder = shutil.copytree(exportable, tmp_path / "records")
        flags = flags_of(command, folder, tmp_path / "new")
    path = tmp_path / "given.pbtxt" if given else tmp_path / "records" / "label_map.pbtxt"
    path.write_bytes(data)
    assert main([command, *flags, *([f"--label_map={path}"] if given else [])]) == 1
    printed = f"{path}, {DAMAGED_LABEL_MAPS[data]}"
    if command == "verify":
        # verify reports a damaged label map with all other faults.
        assert printed in capfd.readouterr().out
    else:
        assert only_error(capfd) == f"error: {printed}"


def test_quiet_commands_print_nothing_if_nothing_is_wrong(
    sample: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    records, part = str(tmp_path / "records"), str(tmp_path / "part")
    for command, *flags in (
        ["convert", *convert_arguments(sample, tmp_path / "records")],
        ["convert", *convert_arguments(sample, tmp_path / "records"), "--dry_run"],
        ["verify", records],
        ["resample", records, "--split=train", f"--to={part}", "--cap=1"],
        ["merge", part, f"--to={tmp_path / 'merged'}"],
        ["report", records],
        ["export", records, f"--to={tmp_path / 'tables'}"],
    ):
        assert main([command, *flags, "--quiet"]) == 0
        assert capfd.readouterr() == ("", "")


def test_an_unknown_command_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["exprot"]) == 1
    assert "did you mean 'export'" in only_error(capfd)


def test_each_pipeline_of_the_repository_is_a_command() -> None:
    names = [path.stem for path in (REPOSITORY / "pipelines").glob("*.py")]
    assert "convert" in names
    assert set(names) <= set(COMMANDS)
