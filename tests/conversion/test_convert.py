import csv
import dataclasses
import gzip
import io
import json
import pathlib
import re
import shutil
from collections import Counter
from typing import Any

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.cli.main import main
from oi_tfrecord.conversion import convert as convert_module
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.convert_config import ConvertConfig
from tests.support import small_release
from tests.support.small_release import Release, convert


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=40)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("clean") / "data", images=10, faults=False)


@pytest.fixture(scope="module")
def output_dir(release: Release, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The conversion of the release, not to be changed."""
    folder = tmp_path_factory.mktemp("output")
    assert convert(release.flags(folder, workers=1)) == 0
    return folder


def manifest(output_dir: pathlib.Path) -> dict[str, Any]:
    split: dict[str, Any] = json.loads((output_dir / "manifest.json").read_bytes())["splits"]["train"]
    return split


def config_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertConfig:
    return parse_convert(release.flags(output_dir, **flags)).config


class Lines(NoProgress):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def plan(self, line: str) -> None:
        self.lines.append(line)

    def note(self, line: str) -> None:
        self.lines.append(line)


def test_from_python_a_conversion_returns_its_result_and_prints_nothing(
    release: Release, output_dir: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = config_of(release, tmp_path / "out", num_shards=None)
    progress = Lines()
    result = convert_module.convert(config, workers=1, progress=progress)
    assert (result.output_dir, result.split, result.num_shards) == (str(tmp_path / "out"), "train", 1)
    assert result.manifest == manifest(tmp_path / "out")
    assert (result.was_complete, result.resumed_shards, result.exit_code, result.problems) == (False, 0, 0, ())
    assert [line.split()[:3] for line in progress.lines] == [["plan", "1", "shards"]]
    again = convert_module.convert(dataclasses.replace(config, max_rejects="0"))
    assert (again.was_complete, again.exit_code) == (True, 2)
    assert any(line.startswith("images: 4 of 40 rejected") for line in again.problems)
    assert capfd.readouterr() == ("", "")


def test_from_python_a_dry_run_returns_counts_and_prints_nothing(
    release: Release, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = convert_module.dry_run(config_of(release, tmp_path), workers=1)
    assert result.counted.output_dir == str(tmp_path / "dry_run")
    assert result.counted.manifest == manifest(tmp_path / "dry_run")
    assert result.counted.manifest["totals"]["records"] == 40
    assert result.workers == 1
    assert capfd.readouterr() == ("", "")


def test_a_dry_run_has_its_own_folder(release: Release) -> None:
    config = convert_module.for_dry_run(config_of(release, pathlib.Path("/out")))
    assert (config.output_dir, config.overwrite, config.dry_run) == ("/out/dry_run", True, True)
    with pytest.raises(ConfigError, match="output_dir"):
        convert_module.for_dry_run(dataclasses.replace(config, output_dir=""))


@pytest.mark.parametrize(
    ("beam_arguments", "function"),
    [(["--template_location=gs://b/t"], "build_template"), (["--dry_run=True"], "build_beam_job")],
)
def test_from_python_a_job_that_does_not_run_now_is_not_waited_for(
    beam_arguments: list[str], function: str, release: Release, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ConfigError, match=f"call {function}"):
        convert_module.convert(config_of(release, tmp_path / "out"), beam_arguments=beam_arguments)
    assert not (tmp_path / "out").exists()


def test_from_python_a_conversion_is_no_dry_run(release: Release, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="call dry_run in place of convert"):
        convert_module.convert(config_of(release, tmp_path / "out", dry_run="true"))


def test_from_python_a_bad_flag_of_beam_is_named(release: Release, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"^runnr: is not a flag of this command or of Beam; did you mean '--runner'"):
        convert_module.convert(config_of(release, tmp_path / "out"), beam_arguments=["--runnr=FlinkRunner"])


def test_every_fault_is_counted_and_everything_balances(release: Release, output_dir: pathlib.Path) -> None:
    split = manifest(output_dir)
    expected = release.expected
    records = len(list(small_release.records(output_dir)))
    assert split["balanced"] is True
    assert split["images"]["rejected"] == expected.images
    assert split["images"]["selected"] == len(release.image_ids) == records + len(release.broken)
    assert split["totals"]["records"] == records
    for table in small_release.TABLES:
        count = split["tables"][table]
        own = {reason: n for reason, n in count["rejected"].items() if reason != "image_rejected"}
        assert own == getattr(expected, table), table
        rows = small_release.read_table(release.folder, table)[1:]
        of_broken = [row for row in rows if row[0] in release.broken.values()]
        if table == "metadata":
            unlisted = of_unlisted = 0
        else:
            unlisted = sum(row[2] == small_release.UNLISTED for row in rows)
            of_unlisted = sum(row[2] == small_release.UNLISTED for row in of_broken)
        assert count["rows_read"] == len(rows)
        assert count["rejected"].get("image_rejected", 0) == len(of_broken) - of_unlisted
        assert count["dropped"] == ({"class_not_in_label_map": unlisted} if unlisted else {})
        assert count["written"] == len(rows) - sum(own.values()) - (len(of_broken) - of_unlisted) - unlisted


def test_every_reject_is_listed(release: Release, output_dir: pathlib.Path) -> None:
    with (output_dir / "rejects-train.csv").open(newline="") as lines:
        listed = list(csv.DictReader(lines))
    expected = release.expected
    assert Counter((item["Table"], item["Reason"]) for item in listed) == {
        (table, reason): n
        for table in ("images", *small_release.TABLES)
        for reason, n in getattr(expected, table).items()
    }
    broken = {item["Reason"]: item["ImageID"] for item in listed if item["Table"] == "images"}
    assert broken == release.broken


def test_files_are_those_that_the_manifest_names(output_dir: pathlib.Path) -> None:
    shards = [f"train.tfrecord-{shard:05d}-of-00005" for shard in range(5)]
    names = {path.name for path in output_dir.iterdir()}
    # The work folder keeps what another try of the rejected images needs.
    assert names == {
        *shards,
        "label_map.pbtxt",
        "label_map.csv",
        "features.json",
        "dataset_info.json",
        "manifest.json",
        "index",
        "rejects-train.csv",
        ".oi_tfrecord-train",
    }
    assert [shard["file"] for shard in manifest(output_dir)["shards"]] == shards


def test_the_summary_has_the_counts_and_where_the_files_are(release: Release, tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    assert convert(release.flags(tmp_path, workers=1), out) == 0
    text = out.getvalue()
    split = manifest(tmp_path)
    assert f"{split['totals']['records']} images with " in text
    assert "image_cut_off 1" in text
    for name in ("train.tfrecord-00000-of-00005", "label_map.pbtxt", "manifest.json", "rejects-train.csv"):
        assert str(tmp_path / name) in text
    for table in small_release.TABLES:
        [line] = [line for line in text.splitlines() if line.startswith(table)]
        assert f"{split['tables'][table]['rows_read']:,} rows read" in line


def test_a_warning_of_the_manifest_is_printed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = small_release.write_release(tmp_path / "data", images=10, faults=False)
    path = release.folder / "train" / "annotations-human.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert convert(release.flags(tmp_path / "out", workers=1)) == 0
    assert f"warning: {path}: its last line has no line end" in capsys.readouterr().err


def share_rejected(release: Release) -> float:
    """Returns the largest share of rejects of any kind of input, by hand, in percent."""
    expected = release.expected
    shares = [100 * len(release.broken) / len(release.image_ids)]
    for table in small_release.TABLES:
        rows = len(small_release.read_table(release.folder, table)) - 1
        shares.append(100 * sum(getattr(expected, table).values()) / rows)
    return max(shares)


def test_exit_code_follows_max_rejects(
    release: Release, output_dir: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    most = max(sum(getattr(release.expected, kind).values()) for kind in ("images", *small_release.TABLES))
    share = share_rejected(release)
    codes = {
        str(most): 0,
        str(most - 1): 2,
        "0": 2,
        "0%": 2,
        f"{share + 0.001:.3f}%": 0,
        f"{share - 0.001:.3f}%": 2,
        "100%": 0,
        None: 2,
    }
    for limit, code in codes.items():
        capsys.readouterr()
        # The conversion is complete, so only its judgement changes.
        assert main(["convert", *release.flags(output_dir, max_rejects=limit)]) == code, limit
        printed = capsys.readouterr()
        assert "Nothing to do" in printed.out
        if code:
            assert f"--max_rejects={limit or '1%'}" in printed.err
            assert str(output_dir / "rejects-train.csv") in printed.err
        else:
            [line] = printed.err.splitlines()
            assert "are rejected as before" in line


def test_no_rejects_pass_the_strictest_limit(clean: Release, tmp_path: pathlib.Path) -> None:
    assert convert(clean.flags(tmp_path, max_rejects="0", workers=1)) == 0
    assert (tmp_path / "rejects-train.csv").read_text() == "Table,File,Line,ImageID,Reason,Detail\n"


def test_too_many_rejects_name_kind_and_reason_and_leave_a_dataset(
    release: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *release.flags(tmp_path, max_rejects="3", workers=1)]) == 2
    printed = capsys.readouterr().err
    assert re.search(r"error: images: 4 of 40 rejected \(10\.00 %\): .*image_cut_off 1", printed)
    assert re.search(r"error: boxes: 7 of \d+ rejected .*degenerate_box 1", printed)
    assert "metadata:" not in printed
    assert manifest(tmp_path)["balanced"] is True


def test_what_does_not_balance_is_the_worst_that_can_be(
    release: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(release.flags(tmp_path, workers=1)) == 0
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"balanced": true', '"balanced": false'))
    capsys.readouterr()
    assert convert(release.flags(tmp_path)) == 3
    assert "lost" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"split": None}, "split"),
        ({"images": None}, "images"),
        ({"data_dir": "/not/there"}, "/not/there"),
        ({"split": "test"}, "test/images.csv"),
        ({"label_map": "/not/there.pbtxt"}, "/not/there.pbtxt"),
        ({"image_ids": "/not/there.txt"}, "/not/there.txt"),
        ({"classes": "Nam, 317"}, "Nam"),
        # A folder in place of a file.
        ({"label_map": "/"}, "/: Is a folder"),
        ({"image_ids": "/"}, "/: Is a folder"),
        ({"classes": "/"}, "/: Is a folder"),
    ],
)
def test_what_is_missing_ends_with_1_and_one_line(
    change: dict[str, str], named: str, clean: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *clean.flags(tmp_path / "out", **change)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert named in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", ["", "records"])
def test_a_file_in_place_of_the_output_folder_is_one_line(
    below: str, clean: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    assert main(["convert", *clean.flags(tmp_path / "out" / below)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {tmp_path / 'out' / below}: ")
    assert printed.count("\n") == 1
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_table_that_cannot_be_read_ends_with_1_and_can_be_corrected(workers: int, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=50, title_bytes=20_000, faults=False)
    plain = release.folder / "train" / "images.csv"
    path = plain.with_name("images.csv.gz")
    whole = gzip.compress(plain.read_bytes())
    path.write_bytes(whole[: len(whole) * 3 // 4])
    plain.unlink()
    flags = release.flags(tmp_path / "out", workers=workers)
    done = small_release.run_command(flags)
    assert done.returncode == 1, done.stderr
    [error] = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    assert error.startswith(f"error: {path}")
    assert "Traceback" not in done.stderr
    path.write_bytes(whole)
    done = small_release.run_command([*flags, "--overwrite"])
    assert done.returncode == 0, done.stderr
    assert convert(release.flags(tmp_path / "undisturbed", workers=1)) == 0
    assert small_release.shards(tmp_path / "out") == small_release.shards(tmp_path / "undisturbed")


def test_a_dry_run_writes_no_record_and_touches_nothing(
    release: Release, output_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    before = small_release.dataset(output_dir)
    shutil.copytree(output_dir, tmp_path / "out")
    out = io.StringIO()
    assert convert(release.flags(tmp_path / "out", dry_run="true", workers=1, num_shards=2), out) == 0
    files = small_release.dataset(tmp_path / "out")
    assert {name: data for name, data in files.items() if not name.startswith("dry_run/")} == before
    assert not [name for name in files if name.startswith("dry_run/") and ".tfrecord-" in name]
    assert f"{len(release.image_ids)} records expected" in out.getvalue()
    expected = json.loads(files["dry_run/manifest.json"])["splits"]["train"]["tables"]
    assert expected["boxes"]["rejected"] == release.expected.boxes


def test_at_most_max_images_are_kept_whatever_the_number_of_shards(release: Release, tmp_path: pathlib.Path) -> None:
    for num_shards in (1, 5):
        flags = release.flags(tmp_path / str(num_shards), max_images=7, workers=1, num_shards=num_shards)
        assert convert(flags) == 0
        split = manifest(tmp_path / str(num_shards))
        assert split["images"]["selected"] == 7
        assert split["balanced"] is True
    assert list(small_release.records(tmp_path / "1")) == list(small_release.records(tmp_path / "5"))


def test_without_a_number_of_shards_one_is_planned_and_kept(release: Release, tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    assert convert(release.flags(tmp_path, num_shards=None, workers=1), out) == 0
    assert re.search(r"plan +1 shards of about [\d.]+ KB: about 40\b", out.getvalue())
    # A few small images fill one shard of the size that is planned for.
    assert list(small_release.shards(tmp_path)) == ["train.tfrecord-00000-of-00001"]
    again = io.StringIO()
    assert convert(release.flags(tmp_path, num_shards=None), again) == 0
    assert again.getvalue().startswith("Nothing to do")
    assert convert(release.flags(tmp_path, num_shards=1)) == 0


def test_a_runner_of_beam_may_be_named(release: Release, output_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    runner = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    assert convert([*release.flags(tmp_path), runner]) == 0
    assert small_release.dataset(tmp_path) == small_release.dataset(output_dir)


def test_paths_may_be_relative(
    release: Release, output_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(release.folder)
    flags = release.flags(tmp_path, data_dir=".", images="images/{image_id}.jpg", workers=1)
    assert convert(flags) == 0
    assert small_release.shards(tmp_path) == small_release.shards(output_dir)


def test_an_interrupt_outside_of_a_local_run_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **others: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert_module, "convert", interrupted)
    assert main(["convert"]) == 130
    assert capsys.readouterr().err.startswith("error: interrupted")
