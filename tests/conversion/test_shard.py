import csv
import dataclasses
import functools
import io
import os
import pathlib
import re
import threading
from collections.abc import Sequence
from typing import Any

import google_crc32c
import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.read_range import read_table_range
from oi_tfrecord.conversion.shard import convert_shard
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.accounts import ShardAccount, decode_account
from oi_tfrecord.errors import InputError
from oi_tfrecord.join.batches import Batch, decode
from oi_tfrecord.join.shard_rows import collect_tables
from oi_tfrecord.records.class_counts import unpack_counts
from oi_tfrecord.sources.files import PatternSource
from tests.conversion.test_read_range import ranges_of
from tests.support import small_release
from tests.support.small_release import Release

NUM_SHARDS = 2


def convert_batches(job: ShardJob, shard: int, batches: Sequence[Batch], *rest: Any) -> ShardAccount:
    """Converts a shard with the rows of some batches."""
    return convert_shard(job, shard, functools.partial(collect_tables, batches), *rest)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=40)


def plan_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    plan = make_plan(parse_convert(release.flags(output_dir, **{"num_shards": NUM_SHARDS, **flags})).config)
    pathlib.Path(plan.config.output_dir).mkdir(exist_ok=True, parents=True)
    plan.work.create(plan.fingerprint)
    return plan


def batches_of(plan: ConvertPlan) -> dict[int, list[Batch]]:
    job = plan.range_job(frozenset())
    batches: dict[int, list[Batch]] = {shard: [] for shard in range(plan.num_shards)}
    for file in job.files.values():
        for file_range in ranges_of(file, job.block_bytes):
            for block in read_table_range(job, file_range):
                for shard, batch in block.rows.batches():
                    batches[shard].append(decode(batch))
    return batches


def rejects_of(plan: ConvertPlan, shard: int) -> list[list[str]]:
    account = decode_account(plan.work.read_result(shard))
    return list(csv.reader(io.StringIO(account.rejects, newline="")))


def test_the_result_is_that_of_the_file_and_is_stored(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    label_map = plan.classes.make_label_map({})
    results = [convert_batches(plan.shard_job(), n, rows, label_map) for n, rows in batches_of(plan).items()]
    assert [decode_account(data) for data in plan.work.results()] == results
    for result in results:
        data = (tmp_path / result.file).read_bytes()
        assert (result.size, result.crc32c, result.sha256) == (len(data), f"{google_crc32c.value(data):08x}", "")
    found = list(small_release.records(tmp_path))
    assert sum(result.records for result in results) == len(found) == len(release.image_ids) - len(release.broken)
    assert os.listdir(plan.work.temporary) == []


def test_counts_are_those_of_the_records(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    label_map = plan.classes.make_label_map({})
    for shard, rows in batches_of(plan).items():
        result = convert_batches(plan.shard_job(), shard, rows, label_map)
        ids = set()
        for record in small_release.records(tmp_path, "train"):
            ids.update(re.findall(rb"image ([0-9a-f]{16})", record))
        assert result.images_selected == result.records + sum(result.images_rejected.values())
        boxes = result.tables["boxes"]
        assert (
            sum(unpack_counts(result.boxes_per_class).values())
            == boxes.written
            == sum(result.sources["boxes"].values())
        )
        labels = result.tables["human_labels"]
        classified = (result.positive_per_class, result.negative_per_class)
        assert sum(sum(unpack_counts(counts).values()) for counts in classified) == labels.written
        assert result.tables["metadata"].written == result.records
        assert 0 < result.most_boxes <= 4


def test_image_bytes_are_those_of_the_files_in_the_records(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path, num_shards=1)
    result = convert_batches(plan.shard_job(), 0, batches_of(plan)[0], plan.classes.make_label_map({}))
    whole = [image_id for image_id in release.image_ids if image_id not in release.broken.values()]
    sizes = [(release.folder / "images" / f"{image_id}.jpg").stat().st_size for image_id in whole]
    assert result.image_bytes == sum(sizes)
    assert result.images_reencoded == {}
    assert result.images_rejected == release.expected.images


def test_every_reject_is_listed_with_its_place(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path, num_shards=1)
    result = convert_batches(plan.shard_job(), 0, batches_of(plan)[0], plan.classes.make_label_map({}))
    listed = rejects_of(plan, 0)
    assert len(listed) == result.listed_rejects
    expected = release.expected
    assert sorted((row[3], row[6]) for row in listed) == sorted(
        [("images", reason) for reason in expected.images]
        + [(table, "duplicate") for table in small_release.TABLES]
        + [(table, "annotation_without_image") for table in ("boxes", "human_labels")]
    )
    for file_index, range_index, line, table, path, image_id, _, _ in listed:
        if table == "images":
            assert (file_index, range_index, line) == ("-1", "-1", "-1")
            assert path == str(release.folder / "images" / f"{image_id}.jpg")
        else:
            # The release is small, so a table is one range, which starts after the header.
            assert (file_index, range_index) == ("0", "0")
            assert pathlib.Path(path).read_bytes().split(b"\n")[int(line) + 1].startswith(image_id.encode())


def test_the_rows_may_come_in_any_order(release: Release, tmp_path: pathlib.Path) -> None:
    found = []
    for name, order in (("a", 1), ("b", -1)):
        plan = plan_of(release, tmp_path / name, num_shards=1)
        found.append(
            convert_batches(plan.shard_job(), 0, batches_of(plan)[0][::order], plan.classes.make_label_map({}))
        )
    assert found[0] == found[1]


def test_a_shard_without_rows_is_an_empty_file(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    result = convert_batches(plan.shard_job(), 1, [], plan.classes.make_label_map({}))
    assert (tmp_path / "train.tfrecord-00001-of-00002").read_bytes() == b""
    assert (result.records, result.images_selected, result.size) == (0, 0, 0)
    assert result.crc32c == "00000000"


def test_a_second_try_gives_the_same(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    rows = batches_of(plan)[0]
    first = convert_batches(plan.shard_job(), 0, rows, plan.classes.make_label_map({}))
    before = small_release.dataset(tmp_path)
    assert convert_batches(plan.shard_job(), 0, rows, plan.classes.make_label_map({})) == first
    assert small_release.dataset(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system reads nothing ahead")
@pytest.mark.parametrize(
    ("flags", "has_spare_cores", "threads"), [({}, False, 0), ({}, True, 4), ({"read_threads": 3}, False, 3)]
)
def test_a_shard_is_the_same_with_threads_of_its_own_and_without(
    flags: dict[str, int], has_spare_cores: bool, threads: int, release: Release, tmp_path: pathlib.Path
) -> None:
    plan = plan_of(release, tmp_path / "plain", num_shards=1)
    plain = convert_batches(plan.shard_job(), 0, batches_of(plan)[0], plan.classes.make_label_map({}))
    plan = plan_of(release, tmp_path / "out", num_shards=1, **flags)
    job = dataclasses.replace(plan.shard_job(), has_spare_cores=has_spare_cores)
    before, seen = set(threading.enumerate()), set()
    result = convert_batches(
        job,
        0,
        batches_of(plan)[0],
        plan.classes.make_label_map({}),
        lambda *counts: seen.update(set(threading.enumerate()) - before),
    )
    assert result == plain
    assert (tmp_path / "out" / result.file).read_bytes() == (tmp_path / "plain" / result.file).read_bytes()
    # Two threads read, or `read_threads`; another one hashes and one writes when enough bytes wait, or at the end.
    assert len(seen) <= threads
    assert bool(seen) == bool(threads)


def test_progress_rises_to_the_counts_of_the_result(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path, num_shards=1)
    counts: list[tuple[int, int, int, float]] = []
    result = convert_batches(
        plan.shard_job(), 0, batches_of(plan)[0], plan.classes.make_label_map({}), lambda *given: counts.append(given)
    )
    assert [records for records, *_ in counts] == list(range(1, result.records + 1))
    assert counts == sorted(counts)
    assert counts[-1][1] == result.image_bytes
    # Images after the last readable one are not reported.
    assert counts[-1][2] <= result.listed_rejects
    shares = [share for *_, share in counts]
    assert 0 < shares[0] < shares[-1] <= 1


@dataclasses.dataclass(frozen=True)
class Unreachable(PatternSource):
    """Fails as remote storage does, after some images."""

    def read(self, image_id: str) -> bytes:
        if image_id > "8":
            raise ConnectionError("storage is away")
        return super().read(image_id)


def test_a_fault_that_may_pass_leaves_no_shard_and_no_result(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    job = plan.shard_job()
    source = job.source
    assert isinstance(source, PatternSource)
    failing: ShardJob = dataclasses.replace(job, source=Unreachable(source.pattern, source.split, source.max_bytes))
    with pytest.raises(ConnectionError, match="storage is away"):
        convert_batches(failing, 0, batches_of(plan)[0], plan.classes.make_label_map({}))
    assert list(tmp_path.glob("train.*")) == []
    assert list(plan.work.results()) == []
    assert os.listdir(plan.work.temporary) == []


def test_a_dry_run_counts_as_if_every_image_were_there(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path, dry_run="true", images="/not/there/{image_id}.jpg", num_shards=1)
    result = convert_batches(plan.shard_job(), 0, batches_of(plan)[0], plan.classes.make_label_map({}))
    assert result.records == result.images_selected == len(release.image_ids)
    assert result.images_rejected == {}
    assert [decode_account(data) for data in plan.work.results()] == [result]
    assert not [name for name in small_release.dataset(tmp_path) if ".tfrecord-" in name]


@pytest.mark.parametrize("select", ["boxed", "labelled", "all"])
def test_only_selected_images_are_read(select: str, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=8, faults=False)
    bare, unboxed = release.image_ids[:2]
    for table, without in (("boxes", {bare, unboxed}), ("human_labels", {bare})):
        rows = small_release.read_table(release.folder, table)
        small_release.write_table(release.folder, table, [row for row in rows if row[0] not in without])
    plan = plan_of(release, tmp_path / "out", select=select, num_shards=1)
    result = convert_batches(plan.shard_job(), 0, batches_of(plan)[0], plan.classes.make_label_map({}))
    left_out = {"boxed": 2, "labelled": 1, "all": 0}[select]
    # An image may have nothing but boxes or labels of classes that are not in the label map.
    assert result.images_not_selected >= left_out
    assert result.images_selected + result.images_not_selected == 8
    assert result.records == result.images_selected
    read = {match.decode() for record in small_release.records(tmp_path / "out")
            for match in re.findall(rb"image ([0-9a-f]{16})", record)}  # fmt: skip
    assert (bare in read) == (select == "all")
    assert (unboxed in read) == (select != "boxed")


def test_an_image_that_takes_too_much_memory_is_named(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("oi_tfrecord.conversion.shard_images.prepare", fail)
    plan = plan_of(release, tmp_path)
    batches = batches_of(plan)[0]
    with pytest.raises(
        InputError, match=r"the image [0-9a-f]{16} takes more memory than there is\. .*max_image_pixels"
    ):
        convert_batches(plan.shard_job(), 0, batches, plan.classes.make_label_map({}))
