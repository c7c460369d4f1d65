import errno
import hashlib
import itertools
import os
import pathlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence

import google_crc32c
import pytest

from oi_tfrecord.records.shard_writer import WrittenShard, write_shard
from oi_tfrecord.records.tfrecord import read_records
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.optional import require

Writer = Callable[[list[Sequence[bytes]]], tuple[WrittenShard, bytes]]


def sizes_to_pieces(sizes: Sequence[int], cuts: int = 2) -> list[Sequence[bytes]]:
    chosen = random.Random(5)
    records: list[Sequence[bytes]] = []
    for size in sizes:
        data = chosen.randbytes(size)
        borders = sorted([0, *(chosen.randint(0, size) for _ in range(cuts)), size])
        records.append(tuple(data[start:end] for start, end in itertools.pairwise(borders)))
    return records


RECORDS: dict[str, list[Sequence[bytes]]] = {
    "none": [],
    "empty": [(b"",), ()],
    "one": [(b"abc",)],
    "small": sizes_to_pieces([random.Random(1).randint(0, 300) for _ in range(5000)]),
    "large": sizes_to_pieces([5 << 20, 1, (2 << 20) - 16, 2 << 20, 3]),
    "pieces": [[bytes([number % 256]) for number in range(5000)], (b"after",)],
}


@pytest.fixture(params=["local", "local, no spare cores", "memory"])
def write(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Writer]:
    """Writes records to a file on each kind of storage; checks that nothing but the file is left."""
    MemoryFileSystem.files.clear()

    def run(records: list[Sequence[bytes]]) -> tuple[WrittenShard, bytes]:
        if request.param == "memory":
            written = write_shard("memory://out/a", "memory://out/temporary", records)
            [(name, data)] = MemoryFileSystem.files.items()
            assert name == "memory://out/a"
            return written, data
        (tmp_path / "temporary").mkdir()
        has_spare_cores = request.param == "local"
        written = write_shard(f"{tmp_path}/a", f"{tmp_path}/temporary", records, has_spare_cores=has_spare_cores)
        assert list((tmp_path / "temporary").iterdir()) == []
        return written, (tmp_path / "a").read_bytes()

    yield run
    MemoryFileSystem.files.clear()


@pytest.mark.parametrize("name", RECORDS)
def test_the_file_equals_that_of_tensorflow(name: str, write: Writer, tmp_path: pathlib.Path) -> None:
    tf = require("tensorflow")
    with tf.io.TFRecordWriter(f"{tmp_path}/expected") as expected:
        for pieces in RECORDS[name]:
            expected.write(b"".join(pieces))
    written, data = write(RECORDS[name])
    assert data == (tmp_path / "expected").read_bytes()
    assert written == WrittenShard(len(RECORDS[name]), len(data), f"{google_crc32c.value(data):08x}")


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_read_back(name: str, write: Writer, tmp_path: pathlib.Path) -> None:
    written, data = write(RECORDS[name])
    (tmp_path / "copy").write_bytes(data)
    with open(tmp_path / "copy", "rb") as stream:
        assert [record for _, record in read_records(stream)] == [b"".join(pieces) for pieces in RECORDS[name]]
    assert written == WrittenShard(len(RECORDS[name]), len(data), f"{google_crc32c.value(data):08x}")


@pytest.mark.parametrize("has_spare_cores", [True, False])
@pytest.mark.parametrize("name", RECORDS)
def test_the_sha256_is_computed_where_it_is_wanted(name: str, has_spare_cores: bool, tmp_path: pathlib.Path) -> None:
    written = write_shard(
        f"{tmp_path}/a", str(tmp_path), RECORDS[name], has_spare_cores=has_spare_cores, with_sha256=True
    )
    data = (tmp_path / "a").read_bytes()
    assert (written.crc32c, written.sha256) == (f"{google_crc32c.value(data):08x}", hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", ["small", "large", "pieces"])
def test_short_writes_are_completed(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_once = os.write
    shortened = []

    def short_writev(descriptor: int, pieces: Sequence[bytes]) -> int:
        data = b"".join(pieces)
        shortened.append(len(data))
        return write_once(descriptor, data[: len(data) // 3])

    write_shard(f"{tmp_path}/whole", str(tmp_path), RECORDS[name])
    monkeypatch.setattr(os, "writev", short_writev)
    monkeypatch.setattr(os, "write", lambda descriptor, data: write_once(descriptor, data[:700_000]))
    written = write_shard(f"{tmp_path}/short", str(tmp_path), RECORDS[name])
    assert shortened
    assert (tmp_path / "short").read_bytes() == (tmp_path / "whole").read_bytes()
    assert written.crc32c == f"{google_crc32c.value((tmp_path / 'whole').read_bytes()):08x}"


def failing_after(records: list[Sequence[bytes]]) -> Iterator[Sequence[bytes]]:
    yield from records
    raise LookupError("bad image")


@pytest.mark.parametrize("name", ["none", "one", "large"])
def test_an_exception_leaves_no_file(name: str, tmp_path: pathlib.Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(LookupError, match="bad image"):
        write_shard(f"{tmp_path}/a", str(tmp_path), failing_after(RECORDS[name]))
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) <= before


def test_an_exception_keeps_the_file_of_an_earlier_run(tmp_path: pathlib.Path) -> None:
    write_shard(f"{tmp_path}/a", str(tmp_path), RECORDS["one"])
    before = (tmp_path / "a").read_bytes()
    with pytest.raises(LookupError, match="bad image"):
        write_shard(f"{tmp_path}/a", str(tmp_path), failing_after(RECORDS["small"]))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == before


@pytest.mark.parametrize("has_spare_cores", [True, False])
@pytest.mark.parametrize("name", ["one", "small", "large"])
def test_a_full_disk_is_reported_and_leaves_no_file(
    name: str, has_spare_cores: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, pieces: Sequence[bytes]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(OSError, match="No space left"):
        write_shard(f"{tmp_path}/a", str(tmp_path), RECORDS[name], has_spare_cores=has_spare_cores)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "threads"), [("/a", 0), ("memory://out/a", 1)])
def test_without_a_spare_core_only_remote_shards_are_written_by_threads(
    path: str, threads: int, tmp_path: pathlib.Path
) -> None:
    before = set(threading.enumerate())
    most = 0

    def records() -> Iterator[Sequence[bytes]]:
        nonlocal most
        for record in RECORDS["large"]:
            yield record
            most = max(most, len(set(threading.enumerate()) - before))

    folder = "" if "://" in path else str(tmp_path)
    temporary = "memory://out/temporary" if "://" in path else str(tmp_path)
    write_shard(folder + path, temporary, records(), has_spare_cores=False)
    MemoryFileSystem.files.clear()
    assert most == threads


def test_a_shard_replaces_a_file_of_the_same_name(tmp_path: pathlib.Path) -> None:
    write_shard(f"{tmp_path}/a", str(tmp_path), RECORDS["small"])
    written = write_shard(f"{tmp_path}/a", str(tmp_path), RECORDS["one"])
    assert (tmp_path / "a").stat().st_size == written.size
    # 8 bytes of length, its CRC, 3 of data, its CRC.
    assert written.size == 8 + 4 + 3 + 4
