import dataclasses
import io
import itertools
import os
import pathlib
import pickle
import tracemalloc
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord import storage
from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.pipeline import build_limit_pipeline, build_pipeline
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.errors import StorageError
from oi_tfrecord.join import shuffle_files
from oi_tfrecord.join.batches import RowsByShard, decode
from oi_tfrecord.join.shard_rows import collect_tables
from oi_tfrecord.join.shuffle_files import ShardSlices, read_index, write_rows
from oi_tfrecord.openimages.schema import ROW_TYPES, RangeKey, Table
from oi_tfrecord.storage import local
from tests.support import small_release
from tests.support.small_release import Release

PIECES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=12)
"""(shard, rows) of the pieces of a block."""

ORDERS = ("list", "frequency")


def block_of(
    index: int, pieces: Sequence[tuple[int, int]], sources: Sequence[str] = ("",), table: Table = Table.HUMAN_LABELS
) -> RowsByShard:
    """Returns the rows of a block, each with a place of its own as its line."""
    pieces = sorted(pieces)
    bounds = np.append(0, np.cumsum([rows for _, rows in pieces], dtype=np.int64))
    rows = np.zeros(bounds[-1], ROW_TYPES[table])
    rows["line"] = 1000 * index + np.arange(len(rows))
    if "source" in rows.dtype.names:
        rows["source"] = np.arange(len(rows)) % len(sources)
    return RowsByShard(
        RangeKey(table, 0, index), tuple(sources), rows, {}, np.array([shard for shard, _ in pieces], int), bounds
    )


def lines_of(folder: str, shards: Sequence[int], table: Table = Table.HUMAN_LABELS) -> dict[int, list[int]]:
    """Returns the lines of the rows of each shard."""
    index = read_index(folder)
    found = {shard: index.tables(shard) for shard in shards}
    return {shard: tables[table].rows["line"].tolist() if table in tables else [] for shard, tables in found.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=5))
def test_each_shard_gets_its_rows_of_all_blocks(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[tuple[int, int]]]
) -> None:
    folder = str(tmp_path_factory.mktemp("shuffle"))
    made = [block_of(number, pieces) for number, pieces in enumerate(blocks)]
    for block in made:
        write_rows(folder, block)
    batches = [(shard, decode(batch)) for block in made for shard, batch in block.batches()]
    index = read_index(folder)
    for shard in range(7):
        expected = collect_tables(batch for owner, batch in batches if owner == shard)
        found = index.tables(shard)
        assert list(found) == list(expected)
        for table, rows in expected.items():
            assert found[table].rows.tobytes() == rows.rows.tobytes()
            assert (found[table].keys, found[table].sources) == (rows.keys, rows.sources)
            assert found[table].range_of.tolist() == rows.range_of.tolist()


def test_the_bytes_of_rows_are_those_of_their_batches(tmp_path: pathlib.Path) -> None:
    block = block_of(0, [(0, 3), (2, 1), (2, 2)], ("verification", "crowdsource-verification"))
    assert write_rows(str(tmp_path), block) == sum(len(batch) for _, batch in block.batches())
    texts = {"Title": pa.array([b"a", b"", b"ccc", b"d"], pa.binary())}
    block = dataclasses.replace(block_of(0, [(0, 3), (2, 1)], table=Table.METADATA), text_columns=texts)
    assert write_rows(str(tmp_path), block) == sum(len(batch) for _, batch in block.batches())


def test_texts_lie_beside_their_rows(tmp_path: pathlib.Path) -> None:
    texts = {"Title": pa.array([b"a", b"", b"ccc", b"d"], pa.binary())}
    write_rows(
        str(tmp_path), dataclasses.replace(block_of(0, [(0, 3), (2, 1)], table=Table.METADATA), text_columns=texts)
    )
    write_rows(str(tmp_path), block_of(1, [(2, 2)], table=Table.METADATA))
    index = read_index(str(tmp_path))
    found = {shard: index.tables(shard)[Table.METADATA].text_columns["Title"].to_pylist() for shard in (0, 2)}
    assert found == {0: [b"a", b"", b"ccc"], 2: [b"d", b"", b""]}


def test_sources_of_all_blocks_are_numbered_together(tmp_path: pathlib.Path) -> None:
    write_rows(str(tmp_path), block_of(0, [(0, 2)], ("xclick", "activemil")))
    write_rows(str(tmp_path), block_of(1, [(0, 3)], ("activemil", "xclick", "verification")))
    rows = read_index(str(tmp_path)).tables(0)[Table.HUMAN_LABELS]
    assert rows.sources == ("xclick", "activemil", "verification")
    named = [rows.sources[code] for code in rows.rows["source"]]
    assert named == ["xclick", "activemil", "activemil", "xclick", "verification"]


@pytest.mark.parametrize("name", ["s", "a [b]*"])
def test_rows_are_grouped_in_any_folder(name: str, tmp_path: pathlib.Path) -> None:
    folder = f"{tmp_path}/{name}"
    storage.make_folder(folder)
    write_rows(folder, block_of(0, [(0, 1), (2, 2), (2, 1)]))
    write_rows(folder, block_of(1, []))
    write_rows(folder, block_of(2, [(0, 1)]))
    assert lines_of(folder, range(4)) == {0: [0, 2000], 1: [], 2: [1, 2, 3], 3: []}


def test_without_any_file_every_shard_is_empty(tmp_path: pathlib.Path) -> None:
    assert lines_of(str(tmp_path), range(3)) == {0: [], 1: [], 2: []}


def test_a_retry_replaces_what_the_first_try_wrote(tmp_path: pathlib.Path) -> None:
    write_rows(str(tmp_path), block_of(0, [(0, 1), (1, 1)]))
    write_rows(str(tmp_path), block_of(1, [(1, 1)]))
    write_rows(str(tmp_path), block_of(0, [(1, 2)]))
    assert lines_of(str(tmp_path), range(2)) == {0: [], 1: [0, 1, 1000]}


def test_a_write_that_fails_leaves_nothing_to_be_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "open", lambda path, mode, buffering: FullDisk(), raising=False)
    with pytest.raises(OSError, match="No space"):
        write_rows(str(tmp_path), block_of(0, [(0, 1)]))
    assert lines_of(str(tmp_path), [0]) == {0: []}


class FullDisk:
    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *error: object) -> None: ...

    def write(self, data: bytes) -> int:
        raise OSError("No space left on device")


def test_writes_that_are_cut_short_are_continued(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A single write(2) takes at most 2 GiB.
    class Short(io.FileIO):
        def __init__(self, path: str, mode: str, buffering: int):
            super().__init__(path, mode)

        def write(self, data: Any) -> int:
            return super().write(data[:5])

    monkeypatch.setattr(local, "open", Short, raising=False)
    write_rows(str(tmp_path), block_of(0, [(shard, 2) for shard in range(4)]))
    assert lines_of(str(tmp_path), range(4)) == {shard: [2 * shard, 2 * shard + 1] for shard in range(4)}


def test_more_files_than_stay_open(tmp_path: pathlib.Path) -> None:
    files, shards = 300, 70
    assert files > shuffle_files._MOST_OPEN_FILES
    for number in range(files):
        write_rows(str(tmp_path), block_of(number, [(shard, 1) for shard in range(number % 7, shards, 7)]))
    expected = {shard: [1000 * number + shard // 7 for number in range(shard % 7, files, 7)] for shard in range(shards)}
    assert lines_of(str(tmp_path), range(shards)) == expected


def test_files_are_closed_with_the_index(tmp_path: pathlib.Path) -> None:
    for number in range(3):
        write_rows(str(tmp_path), block_of(number, [(0, 1)]))
    before = len(os.listdir("/dev/fd"))
    index = read_index(str(tmp_path))
    index.tables(0)
    assert len(os.listdir("/dev/fd")) == before + 3
    del index
    assert len(os.listdir("/dev/fd")) == before


def test_rows_may_be_read_twice_and_pickled(tmp_path: pathlib.Path) -> None:
    write_rows(str(tmp_path), block_of(0, [(1, 1), (1, 1)]))
    slices = ShardSlices(read_index(str(tmp_path)), 1)
    # Beam may pickle an element before it passes the element to a step.
    pickled = pickle.dumps(slices)
    assert len(pickled) < 500
    for again in (slices, slices, pickle.loads(pickled)):
        assert again.tables()[Table.HUMAN_LABELS].rows["line"].tolist() == [0, 1]


def test_a_file_that_ends_early_is_named(tmp_path: pathlib.Path) -> None:
    write_rows(str(tmp_path), block_of(0, [(0, 3)]))
    index = read_index(str(tmp_path))
    [path] = tmp_path.iterdir()
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match="ends before byte 57") as error:
        index.tables(0)
    assert error.value.path == str(path)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release whose metadata and boxes are several ranges of 1 MiB."""
    folder = tmp_path_factory.mktemp("release") / "data"
    return small_release.write_release(folder, images=90, boxes=220, title_bytes=30_000)


def ready(plan: ConvertPlan, shuffle: str) -> ConvertPlan:
    prepare_output(plan.target)
    return dataclasses.replace(plan, shuffle_folder=plan.work.shuffle if shuffle == "files" else "")


def plan_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, csv_block_mb=1, **flags)).config)


@pytest.mark.parametrize("order", ORDERS)
def test_grouping_through_files_gives_the_bytes_of_the_shuffle_of_the_runner(
    order: str, release: Release, tmp_path: pathlib.Path
) -> None:
    for shuffle in ("runner", "files"):
        # More shards than images, so that some are empty.
        flags = {"num_shards": 131, "label_order": order, "extra_keys": "attribution"}
        plan = ready(plan_of(release, tmp_path / shuffle, **flags), shuffle)
        pipeline = beam.Pipeline(runner=FnApiRunner())
        build_pipeline(pipeline, plan, ())
        pipeline.run().wait_until_finish()
        files = list(pathlib.Path(plan.work.shuffle).iterdir())
        assert len(files) > 3 if shuffle == "files" else not files
        plan.work.delete()
    runner, files = (small_release.dataset(tmp_path / name) for name in ("runner", "files"))
    assert len([name for name in runner if ".tfrecord-" in name]) == 131
    assert b"" in small_release.shards(tmp_path / "runner").values()
    assert runner == files


def test_the_limit_of_images_is_the_same_through_files(release: Release, tmp_path: pathlib.Path) -> None:
    limits = {}
    for shuffle, num_shards in itertools.product(("runner", "files"), (1, 9)):
        plan = plan_of(release, tmp_path / f"{shuffle}-{num_shards}", num_shards=num_shards, max_images=11)
        plan = ready(plan, shuffle)
        pipeline = beam.Pipeline(runner=FnApiRunner())
        build_limit_pipeline(pipeline, plan)
        pipeline.run().wait_until_finish()
        limits[shuffle, num_shards] = plan.work.limit()
    assert len(set(limits.values())) == 1
    assert 0 < limits["files", 1] < 1 << 64


def test_the_rows_of_a_shard_are_in_file_order(tmp_path: pathlib.Path) -> None:
    """Files are listed by name, and `boxes-0-10` comes before `boxes-0-2`."""
    write_rows(str(tmp_path), block_of(10, [(0, 1)], table=Table.BOXES))
    write_rows(str(tmp_path), block_of(2, [(0, 1)], table=Table.BOXES))
    assert lines_of(str(tmp_path), [0], Table.BOXES) == {0: [2000, 10_000]}


def test_the_index_takes_ten_bytes_for_each_block_and_shard(tmp_path: pathlib.Path) -> None:
    files, shards = 300, 200
    for number in range(files):
        write_rows(str(tmp_path), block_of(number, [(shard, 400) for shard in range(shards)], table=Table.METADATA))
    tracemalloc.start()
    index = read_index(str(tmp_path))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 2 bytes for one of 300 files, 4 for a row of more than 2^16, and 4 for the number of rows.
    assert index.slices.nbytes == files * shards * (2 + 4 + 4)
    # Paths, bounds and the entries of one file of the shuffle.
    others = 300_000
    assert index.slices.nbytes <= kept < peak < index.slices.nbytes + others
