import dataclasses
import io
import itertools
import pathlib
import pickle
import tracemalloc
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord import storage
from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.pipeline import build_limit_pipeline, build_pipeline
from oi_tfrecord.conversion.plan import ConvertPlan, make_plan
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.join.shuffle_files import read_index, write_batches
from oi_tfrecord.storage import local
from tests.support import small_release
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.small_release import Release

Batches = list[tuple[int, bytes]]
BATCHES = st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=40)), max_size=12)
ORDERS = ("list", "frequency")


@pytest.fixture(params=["local", "brackets", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    MemoryFileSystem.files.clear()
    path = {"local": f"{tmp_path}/s", "brackets": f"{tmp_path}/a [b]*", "memory": "memory://bucket/s"}[request.param]
    storage.make_folder(path)
    return path


def grouped(folder: str, shards: Sequence[int]) -> dict[int, list[bytes]]:
    index = read_index(folder)
    return {shard: list(index.batches(shard)) for shard in shards}


@settings(max_examples=60, deadline=None)
@given(st.lists(BATCHES, max_size=5))
def test_each_shard_gets_its_batches_of_all_ranges(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[Batches]
) -> None:
    folder = str(tmp_path_factory.mktemp("shuffle"))
    for number, batches in enumerate(ranges):
        write_batches(folder, f"boxes-0-{number}", batches)
    expected = {
        shard: [batch for batches in ranges for owner, batch in batches if owner == shard] for shard in range(7)
    }
    assert grouped(folder, range(7)) == expected


def test_batches_are_grouped_on_any_filesystem(folder: str) -> None:
    write_batches(folder, "boxes-0-0", [(2, b"two"), (0, b"zero"), (2, b"again")])
    write_batches(folder, "boxes-0-1", [])
    write_batches(folder, "boxes-0-2", [(0, b"")])
    assert grouped(folder, range(4)) == {0: [b"zero", b""], 1: [], 2: [b"two", b"again"], 3: []}


def test_without_any_file_every_shard_is_empty(folder: str) -> None:
    assert grouped(folder, range(3)) == {0: [], 1: [], 2: []}


def test_a_retry_replaces_what_the_first_try_wrote(folder: str) -> None:
    write_batches(folder, "boxes-0-0", [(0, b"half"), (1, b"of a try")])
    write_batches(folder, "boxes-0-1", [(1, b"other range")])
    write_batches(folder, "boxes-0-0", [(1, b"whole")])
    assert grouped(folder, range(2)) == {0: [], 1: [b"whole", b"other range"]}


def test_a_write_that_fails_leaves_nothing_to_be_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "open", lambda path, mode, buffering: FullDisk(), raising=False)
    with pytest.raises(OSError, match="No space"):
        write_batches(str(tmp_path), "boxes-0-0", [(0, b"batch")])
    assert grouped(str(tmp_path), [0]) == {0: []}


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
    batches = [(shard, bytes([shard]) * 13) for shard in range(4)]
    write_batches(str(tmp_path), "boxes-0-0", batches)
    assert grouped(str(tmp_path), range(4)) == {shard: [batch] for shard, batch in batches}


def test_many_files_and_many_shards(tmp_path: pathlib.Path) -> None:
    files, shards = 300, 700
    for number in range(files):
        batches = [(shard, f"{number}/{shard}".encode()) for shard in range(number % 7, shards, 7)]
        write_batches(str(tmp_path), f"boxes-0-{number:04d}", batches)
    found = grouped(str(tmp_path), range(shards))
    expected = {
        shard: [f"{number}/{shard}".encode() for number in range(shard % 7, files, 7)] for shard in range(shards)
    }
    assert found == expected


def test_batches_may_be_read_twice_and_pickled(tmp_path: pathlib.Path) -> None:
    write_batches(str(tmp_path), "boxes-0-0", [(1, b"a"), (1, b"b")])
    batches = read_index(str(tmp_path)).batches(1)
    # Beam may iterate over an element before it passes it to a step.
    assert list(batches) == list(batches) == list(pickle.loads(pickle.dumps(batches))) == [b"a", b"b"]


def test_a_file_larger_than_32_bit_offsets_is_indexed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The only range of a compressed file is the whole file. No bytes are written; the test reads only their places.
    size = (1 << 31) - 1

    class Long(bytes):
        def __len__(self) -> int:
            return size

    written: list[bytes] = []

    class Memory:
        def __enter__(self) -> "Memory":
            return self

        def __exit__(self, *error: object) -> None: ...

        def write(self, data: memoryview) -> int:
            written.append(bytes(data))
            return len(data)

    monkeypatch.setattr(storage, "create", lambda path, temporary: Memory())
    write_batches(str(tmp_path), "boxes-0-0", [(shard, Long(b"x")) for shard in range(4)])
    (tmp_path / "boxes-0-0.batches").write_bytes(b"".join(written[1:]))
    index = read_index(str(tmp_path))
    assert index.slices["offset"].tolist() == [size * place for place in range(4)]
    assert set(index.slices["length"].tolist()) == {size}


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


def test_the_order_of_the_files_does_not_matter_to_a_shard(release: Release, tmp_path: pathlib.Path) -> None:
    """Files are read by name, and `boxes-0-10` comes before `boxes-0-2`."""
    write_batches(str(tmp_path), "boxes-0-10", [(0, b"ten")])
    write_batches(str(tmp_path), "boxes-0-2", [(0, b"two")])
    assert grouped(str(tmp_path), [0]) == {0: [b"ten", b"two"]}


def test_the_index_takes_ten_bytes_for_each_range_and_shard(tmp_path: pathlib.Path) -> None:
    files, shards = 300, 200
    for number in range(files):
        batches = [(shard, bytes(400)) for shard in range(shards)]
        write_batches(str(tmp_path), f"boxes-0-{number:04d}", batches)
    tracemalloc.start()
    index = read_index(str(tmp_path))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 2 bytes for one of 300 files, 4 for an offset below 2^32, and 4 for a length.
    assert index.slices.nbytes == files * shards * (2 + 4 + 4)
    # Paths, bounds and the entries of one file of the shuffle.
    others = 300_000
    assert index.slices.nbytes <= kept < peak < index.slices.nbytes + others
