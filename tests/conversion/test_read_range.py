import collections
import csv
import dataclasses
import io
import pathlib
import shutil
import subprocess

import google_crc32c
import numpy as np
import pytest

from oi_tfrecord import storage
from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.conversion.read_range import RangeJob, read_table_range
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.filter_warnings import count_found
from oi_tfrecord.join.batches import Batch, decode
from oi_tfrecord.openimages.csv import files as inputs
from oi_tfrecord.openimages.csv.file_ranges import FileRange, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.sharding import shard_of
from tests.support import small_release
from tests.support.small_release import MIDS, UNLISTED, Release

NUM_SHARDS = 3
BLOCK_BYTES = 1500


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=60, title_bytes=300)


def job_of(
    release: Release, output_dir: pathlib.Path, finished: frozenset[int] = frozenset(), **flags: object
) -> RangeJob:
    config = parse_convert(release.flags(output_dir, num_shards=NUM_SHARDS, **flags)).config
    job = dataclasses.replace(make_plan(config).range_job(finished), block_bytes=BLOCK_BYTES)
    job.work.create({})
    return job


def ranges_of(file: InputFile, block_bytes: int = BLOCK_BYTES) -> list[FileRange]:
    ranges = plan_ranges(file, block_bytes)
    if file.table is Table.METADATA and not file.compressed:
        return resolve_ranges(file, [scan_range(file, item) for item in ranges])
    return ranges


def read_all(job: RangeJob, table: str) -> tuple[list[tuple[int, Batch]], list[RangeAccount]]:
    file = job.files[table, 0]
    batches, results = [], []
    for file_range in ranges_of(file):
        for block in read_table_range(job, file_range):
            batches += [(shard, decode(batch)) for shard, batch in block.rows.batches()]
            results.append(block.account)
    return batches, results


@pytest.mark.parametrize("table", small_release.TABLES)
def test_every_row_goes_to_its_shard_or_is_counted(table: str, release: Release, tmp_path: pathlib.Path) -> None:
    job = job_of(release, tmp_path)
    batches, results = read_all(job, table)
    assert len(results) > 2
    rows = small_release.read_table(release.folder, table)[1:]
    assert sum(result.rows_read for result in results) == len(rows)
    passed = collections.Counter()
    for shard, batch in batches:
        ids = batch.rows["image_id"]
        assert set(shard_of(hash_ids(ids), NUM_SHARDS).tolist()) == {shard}
        passed.update(f"{image_id:016x}" for image_id in ids.tolist())
    assert sum(passed.values()) == sum(
        result.rows_read - sum(result.rejected.values()) - sum(result.dropped.values()) for result in results
    )
    # Faults that only the join can see pass here; all other faults stop.
    stopped = collections.Counter(getattr(release.expected, table))
    for reason in ("duplicate", "annotation_without_image"):
        del stopped[reason]
    assert sum((collections.Counter(result.rejected) for result in results), collections.Counter()) == stopped
    if table != "metadata":
        unlisted = sum(row[2] == UNLISTED for row in rows)
        assert sum(result.dropped.get("class_not_in_label_map", 0) for result in results) == unlisted
        assert sum(passed.values()) == len(rows) - sum(stopped.values()) - unlisted


@pytest.mark.parametrize("table", small_release.TABLES)
def test_accounts_have_the_bytes_and_lines_of_the_file(table: str, release: Release, tmp_path: pathlib.Path) -> None:
    job = job_of(release, tmp_path)
    _, results = read_all(job, table)
    data = pathlib.Path(job.files[table, 0].path).read_bytes()
    rows = data[job.files[table, 0].rows_start :]
    assert [result.index for result in results] == list(range(len(results)))
    assert sum(result.line_count for result in results) == rows.count(b"\n")
    borders = [result.start for result in results] + [len(data)]
    assert borders == [job.files[table, 0].rows_start, *(result.end for result in results)]
    assert [result.crc32c for result in results] == [
        google_crc32c.value(data[result.start : result.end]) for result in results
    ]
    assert [result.is_last for result in results] == [False] * (len(results) - 1) + [True]
    assert not any(result.ends_open for result in results)


def test_usable_boxes_are_counted_by_class(release: Release, tmp_path: pathlib.Path) -> None:
    _, results = read_all(job_of(release, tmp_path), "boxes")
    counted = sum((collections.Counter(result.class_rows) for result in results), collections.Counter())
    rows = small_release.read_table(release.folder, "boxes")[1:]
    good = [row for row in rows if len(row) == 8 and row[2] in (*MIDS, UNLISTED)]
    wrong = [row for row in good if float(row[4]) >= float(row[5]) or float(row[5]) > 1 or "x" in row[0]]
    # A class outside the label map counts, too, as the map may be made of the counts; what only the join finds does.
    assert counted == collections.Counter(row[2] for row in good) - collections.Counter(row[2] for row in wrong)


def test_finished_shards_take_no_rows_but_the_counts_stay(release: Release, tmp_path: pathlib.Path) -> None:
    whole, results = read_all(job_of(release, tmp_path / "a"), "boxes")
    part, part_results = read_all(job_of(release, tmp_path / "b", frozenset({0, 2})), "boxes")
    assert {shard for shard, _ in whole} == {0, 1, 2}
    assert {shard for shard, _ in part} == {1}
    kept = [batch for shard, batch in whole if shard == 1]
    assert all(np.array_equal(ours.rows, theirs.rows) for (_, ours), theirs in zip(part, kept, strict=True))
    assert part_results == results


def test_rejects_are_stored_with_lines_counted_from_the_range(release: Release, tmp_path: pathlib.Path) -> None:
    job = job_of(release, tmp_path)
    _, results = read_all(job, "boxes")
    lines = pathlib.Path(job.files["boxes", 0].path).read_text().split("\n")
    first = [1, *(1 + n for n in np.cumsum([result.line_count for result in results]).tolist())]
    listed = [row for piece in job.work.rejects() for row in csv.reader(io.StringIO(piece))]
    assert len(listed) == sum(sum(result.rejected.values()) for result in results)
    for _, index, line, table, path, image_id, reason, _ in listed:
        assert (table, path) == ("boxes", job.files["boxes", 0].path)
        text = lines[first[int(index)] + int(line)]
        if reason == "malformed_row":
            assert text.count(",") == 2
        else:
            assert image_id == "" or text.startswith(image_id)
            assert (reason == "unknown_class") == (small_release.UNKNOWN in text)


def test_names_in_filters_are_found_in_rows_that_are_left_out_too(release: Release, tmp_path: pathlib.Path) -> None:
    """The values and ImageIDs of a range are those of its rows, also of the rows that are left out."""
    listed = sorted([*release.image_ids[::2], "00000000000000ff", "fffffffffffffff0"])
    (tmp_path / "ids.txt").write_text("\n".join(listed))
    job = job_of(
        release, tmp_path, image_ids=tmp_path / "ids.txt", sample=0.5, subset="test,train", box_sources="freeform"
    )
    for table, column in {"metadata": "Subset", "boxes": "Source", "human_labels": ""}.items():
        _, results = read_all(job, table)
        assert len(results) > 2
        rows = small_release.read_table(release.folder, table)
        readable = [row for row in rows[1:] if len(row) == len(rows[0]) and not row[0].endswith("x")]
        values = collections.Counter(row[rows[0].index(column)] for row in readable if column)
        assert sum((collections.Counter(result.values) for result in results), collections.Counter()) == values
        found = {row[0] for row in readable} & set(listed)
        assert count_found([result.found_ids for result in results], len(listed)) == len(found) > 0


def test_without_such_filters_no_values_are_counted(release: Release, tmp_path: pathlib.Path) -> None:
    results = [result for table in small_release.TABLES for result in read_all(job_of(release, tmp_path), table)[1]]
    assert not any(result.values or result.found_ids for result in results)


def test_a_retry_leaves_one_list_of_rejects(release: Release, tmp_path: pathlib.Path) -> None:
    job = job_of(release, tmp_path)
    read_all(job, "boxes")
    once = list(job.work.rejects())
    read_all(job, "boxes")
    assert list(job.work.rejects()) == once


def test_a_compressed_file_is_one_range_with_many_blocks(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK_BYTES", 700)
    folder = tmp_path / "data"
    shutil.copytree(release.folder, folder)
    subprocess.run(["gzip", *map(str, (folder / "train").iterdir())], check=True)
    packed = dataclasses.replace(release, folder=folder)
    for table in small_release.TABLES:
        plain, plain_results = read_all(job_of(release, tmp_path / "plain"), table)
        job = job_of(packed, tmp_path / "packed")
        assert len(ranges_of(job.files[table, 0])) == 1
        batches, results = read_all(job, table)
        assert [result.index for result in results] == list(range(len(results)))
        assert len(results) > 2
        for name in ("rows_read", "line_count"):
            assert sum(getattr(item, name) for item in results) == sum(getattr(item, name) for item in plain_results)
        # The borders of the ranges are those in the unpacked file.
        borders = [result.start for result in results] + [plain_results[-1].end]
        assert borders == [plain_results[0].start, *(result.end for result in results)]
        assert [result.is_last for result in results] == [False] * (len(results) - 1) + [True]
        fields = [name for name in plain[0][1].rows.dtype.names or () if name != "line"]
        for shard in range(NUM_SHARDS):
            ours, theirs = (
                np.concatenate([batch.rows[fields] for number, batch in found if number == shard])
                for found in (batches, plain)
            )
            assert np.array_equal(ours, theirs)


def test_titles_travel_with_their_rows(release: Release, tmp_path: pathlib.Path) -> None:
    batches, _ = read_all(job_of(release, tmp_path, extra_keys="attribution"), "metadata")
    for _, batch in batches:
        titles = batch.text_columns["Title"].to_pylist()
        assert len(titles) == len(batch.rows)
        for image_id, title in zip(batch.rows["image_id"].tolist(), titles, strict=True):
            assert title.startswith(b"Title of %016x, " % image_id)


@pytest.mark.parametrize("table", ["metadata", "boxes"])
def test_the_text_is_gone_before_its_rows_are_split(
    table: str, release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(release, tmp_path)
    whole = ranges_of(job.files[table, 0])[0]
    gone = []

    class Text(bytes):
        def __del__(self) -> None:
            gone.append(len(self))

    read_range = storage.read_range
    monkeypatch.setattr(storage, "read_range", lambda *place: Text(read_range(*place)))
    block = next(read_table_range(job, whole))
    assert max(gone, default=0) > BLOCK_BYTES / 2
    assert list(block.rows.batches())
