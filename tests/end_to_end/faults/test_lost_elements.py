"""Runners that lose or double an element whole: the rows that are left would balance, and yet it is noticed."""

import csv
import dataclasses
import gzip
import json
import pathlib
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.conversion import (
    finish_dataset,
    limit_images,
    pipeline,
    read_tables,
    run_here,
    transforms,
    write_shards,
)
from oi_tfrecord.conversion.finish_dataset import add_counts
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.engine.step import Step, Tagged
from oi_tfrecord.openimages.csv.filters import EVERY_IMAGE
from tests.support import small_release
from tests.support.small_release import Release, convert

RUNNERS = {
    "files": ["--workers=1"],
    "runner": ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"],
}
"""A local run groups rows through files, a run on a runner that is named through its shuffle."""
BLOCK_BYTES = 2000

Work = Callable[[], Iterable[object]]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=60)


@pytest.fixture(autouse=True, scope="module")
def small_ranges() -> Iterator[None]:
    make = ConvertPlan.range_job

    def range_job(plan: ConvertPlan, finished_shards: frozenset[int]) -> RangeJob:
        return dataclasses.replace(make(plan, finished_shards), block_bytes=BLOCK_BYTES)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(ConvertPlan, "range_job", range_job)
        yield


@pytest.fixture(scope="module")
def undisturbed(release: Release, small_ranges: None, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert convert(release.flags(folder, workers=1)) == 0
    return folder


def manifest_of(output_dir: pathlib.Path) -> dict[str, Any]:
    split: dict[str, Any] = json.loads((output_dir / "manifest.json").read_bytes())["splits"]["train"]
    return split


def coverage_of(output_dir: pathlib.Path, table: str) -> tuple[str, dict[str, Any]]:
    [item] = [item for item in manifest_of(output_dir)["inputs"] if item["table"] == table]
    return item["path"], item["coverage"]


def lose(work: Work) -> Iterable[object]:
    return ()


def double(work: Work) -> Iterable[object]:
    return [*work(), *work()]


def lose_results(work: Work) -> Iterable[object]:
    """Does the work, and loses its account."""
    return [output for output in work() if not isinstance(output, Tagged | RangeAccount | int)]


def disturb(
    monkeypatch: pytest.MonkeyPatch,
    step: type[Step],
    method: str,
    is_wanted: Callable[[Any, Any], bool],
    change: Callable[[Work], Iterable[object]],
) -> None:
    """Changes what a step makes of the elements that are wanted, given the step and the element."""
    original = getattr(step, method)

    def disturbed(self: Any, element: Any, *others: object) -> Iterable[object]:
        def work() -> Iterable[object]:
            return original(self, element, *others)

        return change(work) if is_wanted(self, element) else work()

    monkeypatch.setattr(step, method, disturbed)


def disturb_ranges(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Work], Iterable[object]], table: str, *indices: int
) -> None:
    """Changes what becomes of ranges of a table, of all if none is named."""

    def is_wanted(step: Any, item: Any) -> bool:
        return item.key.table == table and (not indices or item.key.index in indices)

    for step in (read_tables.ReadRange, read_tables.ReadRangeToFile):
        disturb(monkeypatch, step, "_read", is_wanted, change)


def convert_disturbed(
    release: Release, output_dir: pathlib.Path, runner: str, capsys: pytest.CaptureFixture[str], **flags: object
) -> list[str]:
    """Converts and verifies a release, both of which must notice; returns the lines on standard error."""
    capsys.readouterr()
    assert main(["convert", *release.flags(output_dir, **flags), *RUNNERS[runner]]) == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "--overwrite" in lines[-1]
    assert manifest_of(output_dir)["balanced"] is False
    assert main(["verify", str(output_dir)]) == 1
    faults = capsys.readouterr().out
    for line in lines[:-1]:
        assert line.removeprefix("error: ") in faults
    return lines[:-1]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("table", "change"),
    [("metadata", lose), ("metadata", double), ("boxes", lose), ("boxes", double), ("boxes", lose_results)],
)
def test_a_range_that_is_lost_or_doubled_is_noticed(
    table: str,
    change: Callable[[Work], Iterable[object]],
    runner: str,
    release: Release,
    undisturbed: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, coverage = coverage_of(undisturbed, table)
    assert len(coverage["starts_of_ranges"]) > 2
    disturb_ranges(monkeypatch, change, table, 1)
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys)
    first, last = coverage["starts_of_ranges"][1], coverage["ends_of_ranges"][1] - 1
    what = "were read twice" if change is double else "were lost"
    assert printed == f"error: {path}: bytes {first} to {last} {what}"


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_file_of_which_all_ranges_are_lost_is_noticed(
    runner: str,
    release: Release,
    undisturbed: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, coverage = coverage_of(undisturbed, "human_labels")
    disturb_ranges(monkeypatch, lose, "human_labels")
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys)
    assert printed == f"error: {path}: bytes {coverage['start']} to {coverage['end'] - 1} were lost"
    # Its table is in the balance, though no range of it arrived.
    assert manifest_of(tmp_path / "out")["tables"]["human_labels"]["rows_read"] == 0


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_range_that_is_lost_is_noticed_where_finished_shards_take_no_rows(
    runner: str,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Stopped(Exception):
        pass

    def stop(*arguments: object) -> None:
        raise Stopped("Stopped")

    with monkeypatch.context() as context:
        context.setattr("oi_tfrecord.conversion.finish_dataset.finish_dataset", stop)
        with pytest.raises(Exception, match="Stopped"):
            convert([*release.flags(tmp_path / "out"), *RUNNERS[runner]])
    disturb_ranges(monkeypatch, lose, "boxes", 1)
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys)
    assert "were lost" in printed


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("change", [lose, lose_results])
def test_a_shard_without_a_result_is_noticed(
    change: Callable[[Work], Iterable[object]],
    runner: str,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disturb(monkeypatch, write_shards.WriteShard, "_write", lambda step, element: element[0] in (1, 4), change)
    printed = convert_disturbed(release, tmp_path / "out", runner, capsys)
    assert printed == [f"error: shard {shard} of 5 is missing" for shard in (1, 4)]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_shard_that_is_written_twice_is_there_once(
    runner: str, release: Release, undisturbed: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, write_shards.WriteShard, "_write", lambda step, element: element[0] == 1, double)
    assert convert([*release.flags(tmp_path / "out"), *RUNNERS[runner]]) == 0
    assert small_release.dataset(tmp_path / "out") == small_release.dataset(undisturbed)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("lost", ["first", "middle", "last", "all"])
def test_a_search_for_quotes_that_is_lost_is_noticed(
    lost: str,
    runner: str,
    release: Release,
    undisturbed: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, coverage = coverage_of(undisturbed, "metadata")
    starts = range(coverage["start"], coverage["end"], BLOCK_BYTES)
    wanted = {"first": starts[:1], "middle": starts[1:2], "last": starts[-1:], "all": starts}[lost]
    disturb(monkeypatch, read_tables.ScanQuotes, "_scan", lambda step, item: item.start in wanted, lose)
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys)
    # All from there on, as nothing says where its records start.
    first = coverage["starts_of_ranges"][{"first": 0, "middle": 1, "last": len(starts) - 1, "all": 0}[lost]]
    assert printed == f"error: {path}: bytes {first} to {coverage['end'] - 1} were lost"


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_search_for_quotes_that_is_doubled_changes_nothing(
    runner: str, release: Release, undisturbed: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, read_tables.ScanQuotes, "_scan", lambda step, item: item.key.index == 1, double)
    assert convert([*release.flags(tmp_path / "out"), *RUNNERS[runner]]) == 0
    assert small_release.dataset(tmp_path / "out") == small_release.dataset(undisturbed)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_bound_on_the_images_that_is_found_from_a_part_is_noticed(
    runner: str,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def is_wanted(step: Any, item: Any) -> bool:
        return step._job.filters.limit_below == EVERY_IMAGE and item.key.table == "metadata" and not item.key.index

    for step in (read_tables.ReadRange, read_tables.ReadRangeToFile):
        disturb(monkeypatch, step, "_read", is_wanted, lose)
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys, max_images=20)
    assert "more than max_images=20" in printed


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("change", "what"), [(lose, "all files from 0 on were lost"), (double, "files 0 to 58 were read twice")]
)
def test_an_archive_that_is_lost_or_doubled_is_noticed(
    change: Callable[[Work], Iterable[object]],
    what: str,
    runner: str,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(release.folder / "images", "train")
    flags = {"images": None, "archives": tmp_path / "all.tar"}
    assert convert([*release.flags(tmp_path / "whole", **flags), *RUNNERS[runner]]) == 0
    disturb_ranges(monkeypatch, change, "image_files")
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys, **flags)
    assert printed == f"error: {tmp_path / 'all.tar'}: {what}"


@pytest.fixture
def packed(release: Release, tmp_path: pathlib.Path) -> Release:
    """The same release, with the labels compressed."""
    folder = tmp_path / "packed"
    shutil.copytree(release.folder, folder)
    path = folder / "train" / "annotations-human.csv"
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return dataclasses.replace(release, folder=folder)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("change", [lose, double])
def test_a_compressed_file_that_is_lost_or_doubled_is_noticed(
    change: Callable[[Work], Iterable[object]],
    runner: str,
    packed: Release,
    undisturbed: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, coverage = coverage_of(undisturbed, "human_labels")
    disturb_ranges(monkeypatch, change, "human_labels")
    [printed] = convert_disturbed(packed, tmp_path / "out", runner, capsys)
    start, end = coverage["start"], coverage["end"]
    what = {
        lose: f"all unpacked bytes from {start} on were lost",
        double: f"unpacked bytes {start} to {end - 1} were read twice",
    }
    assert printed == f"error: {packed.folder / 'train' / 'annotations-human.csv.gz'}: {what[change]}"


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_table_without_rows_loses_nothing(
    ending: str, runner: str, release: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(release.folder, folder)
    path = folder / "train" / "annotations-human.csv"
    header = path.read_bytes().splitlines(keepends=True)[0]
    path.unlink()
    path.with_name(path.name + ending).write_bytes(gzip.compress(header) if ending else header)
    empty = dataclasses.replace(release, folder=folder)
    assert convert([*empty.flags(tmp_path / "out"), *RUNNERS[runner]]) == 0
    split = manifest_of(tmp_path / "out")
    assert split["balanced"] is True
    assert split["warnings"] == []
    assert split["tables"]["human_labels"]["rows_read"] == 0
    assert main(["verify", str(tmp_path / "out")]) == 0, capsys.readouterr().out


def test_rejects_of_a_range_whose_result_is_lost_are_listed_without_a_line(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disturb_ranges(monkeypatch, lose_results, "boxes")
    convert_disturbed(release, tmp_path / "out", "files", capsys)
    with (tmp_path / "out" / "rejects-train.csv").open(newline="") as lines:
        listed = [row for row in csv.DictReader(lines) if row["Table"] == "boxes"]
    assert {row["Reason"] for row in listed} >= {"degenerate_box", "malformed_row"}
    assert {row["Line"] for row in listed} == {""}


@pytest.mark.parametrize("runner", RUNNERS)
def test_counts_of_classes_that_are_lost_before_ids_are_given_are_noticed(
    runner: str,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lose_most(results: Iterable[Any]) -> dict[str, int]:
        counts = add_counts(results)
        counts.pop(max(counts, key=counts.__getitem__), None) if counts else None
        return counts

    for module in (pipeline, run_here):
        monkeypatch.setattr(module, "add_counts", lose_most)
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys, label_order="frequency")
    assert "ids are not in the order of frequency" in printed


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_end_that_is_lost_leaves_what_is_finished(
    runner: str,
    release: Release,
    undisturbed: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [*release.flags(tmp_path / "out"), *RUNNERS[runner]]
    with monkeypatch.context() as context:
        context.setattr(finish_dataset, "finish_dataset", lambda *arguments: {})
        assert main(["convert", *flags]) == 1
    assert "Run the same command again, which keeps the finished shards" in capsys.readouterr().err
    assert main(["convert", *flags]) == 0
    assert "shards are finished" in capsys.readouterr().err
    assert small_release.shards(tmp_path / "out") == small_release.shards(undisturbed)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_shard_that_counts_twice_for_the_bound_changes_nothing(
    runner: str, release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: dict[str, object] = {"max_images": 20, "workers": 1}
    assert convert(release.flags(tmp_path / "once", **flags)) == 0
    store = limit_images.store_limit

    def store_twice(pieces: Iterable[bytes], *others: Any) -> None:
        given = list(pieces)
        store([*given, *given[:1]], *others)

    for module in (transforms, run_here):
        monkeypatch.setattr(module, "store_limit", store_twice)
    assert convert([*release.flags(tmp_path / "twice", **flags), *RUNNERS[runner]]) == 0
    assert manifest_of(tmp_path / "once")["images"]["selected"] == 20
    assert small_release.shards(tmp_path / "twice") == small_release.shards(tmp_path / "once")


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_bound_that_is_too_low_is_noticed(
    runner: str,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(limit_images, "limit_below_of", lambda lowest, count: int(np.sort(lowest)[count - 2]))
    [printed] = convert_disturbed(release, tmp_path / "out", runner, capsys, max_images=20)
    assert "18 images are selected, fewer than max_images=20" in printed
