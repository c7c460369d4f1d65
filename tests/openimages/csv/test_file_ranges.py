import bz2
import csv
import gzip
import io
import itertools
import pathlib
import random
from collections.abc import Callable, Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv import files as inputs
from oi_tfrecord.openimages.csv.file_ranges import (
    Block,
    FileRange,
    needs_scan,
    plan_ranges,
    read_range,
    resolve_ranges,
    scan_range,
)
from oi_tfrecord.openimages.csv.files import InputFile, open_table
from oi_tfrecord.openimages.schema import CSV_TABLES, RangeKey, Table
from tests.support.memory_filesystem import MemoryFileSystem

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
TITLES = ["plain", "", "a, b", 'he said "no"', "two\nlines", "é\r\nü", '"', '",\n"', "\n\n\n", "x" * 300, "\n" * 300]
BLOCKS = [1, 13, 100, 1000, 1 << 20]


def to_csv(rows: list[list[str]], line_end: str) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=line_end).writerows(rows)
    return out.getvalue().encode()


def make_rows(table: Table) -> list[list[str]]:
    chosen = random.Random(str(table))
    ids = [f"{chosen.getrandbits(64):016x}" for _ in range(120)]
    if table is Table.METADATA:
        header = ["ImageID", "Title", "Author"]
        return [header, *([image_id, chosen.choice(TITLES), chosen.choice(TITLES)] for image_id in ids)]
    if table is Table.BOXES:
        header = ["ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"]
        numbers = [f"{chosen.random():.{chosen.randint(1, 9)}f}" for _ in ids]
        return [
            header,
            *([image_id, "xclick", "/m/0", "1", "0", n, "0", n] for image_id, n in zip(ids, numbers, strict=True)),
        ]
    if table is Table.MASKS:
        header = ["MaskPath", "ImageID", "LabelName", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax"]
        return [header, *([f"{image_id}.png", image_id, "/m/0", "0", "0.5", "0", "1"] for image_id in ids)]
    header = ["ImageID", "Source", "LabelName", "Confidence"]
    return [header, *([image_id, "verification", f"/m/0{chosen.randint(0, 9999)}", "1"] for image_id in ids)]


def parse(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def open_file(folder: str, table: Table, data: bytes, ending: str) -> InputFile:
    storage.write(storage.join(folder, f"a.csv{ending}"), COMPRESS[ending](data), folder)
    [file] = open_table(table, ["a.csv"], folder, "train")
    return file


def exact_ranges(file: InputFile, block_bytes: int) -> list[FileRange]:
    """Returns the ranges to read, as the pipeline gets them: scans come back in any order."""
    nominal = plan_ranges(file, block_bytes)
    if not any(map(needs_scan, nominal)):
        return nominal
    assert all(map(needs_scan, nominal))
    scans = [scan_range(file, item) for item in nominal]
    random.Random(block_bytes).shuffle(scans)
    return resolve_ranges(file, scans)


def read_all(file: InputFile, block_bytes: int) -> list[Block]:
    """Returns all blocks in the order of their keys, though the ranges are read in another."""
    ranges = exact_ranges(file, block_bytes)
    random.Random(block_bytes).shuffle(ranges)
    blocks = [block for item in ranges for block in read_range(file, item, block_bytes)]
    keys = [block.key for block in blocks]
    assert len(set(keys)) == len(keys)
    assert {(key.table, key.file) for key in keys} <= {(file.table, file.number)}
    return sorted(blocks)


def assert_all_rows_once(file: InputFile, data: bytes, block_bytes: int) -> None:
    rows_start = data.index(b"\n") + 1
    blocks = read_all(file, block_bytes)
    assert b"".join(block.data for block in blocks) == data[rows_start:]
    assert all(data[block.start : block.start + len(block.data)] == block.data for block in blocks)
    # Each block is read without its neighbours, so it must hold whole records.
    parsed = list(itertools.chain.from_iterable(parse(block.data) for block in blocks))
    assert parsed == parse(data)[1:]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed files are read in chunks larger than these test files, and a block has a chunk at least."""
    monkeypatch.setattr(inputs, "_CHUNK_BYTES", 700)


@pytest.mark.parametrize("table", CSV_TABLES)
@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last_line", ["ended", "open"])
def test_all_rows_are_read_once(
    tmp_path: pathlib.Path, table: Table, ending: str, line_end: str, last_line: str
) -> None:
    data = to_csv(make_rows(table), line_end)
    if last_line == "open":
        data = data.removesuffix(line_end.encode())
    file = open_file(str(tmp_path), table, data, ending)
    for block_bytes in BLOCKS:
        assert_all_rows_once(file, data, block_bytes)


@pytest.fixture
def memory() -> Iterator[str]:
    MemoryFileSystem.files.clear()
    yield "memory://bucket"
    MemoryFileSystem.files.clear()


@pytest.mark.parametrize("table", [Table.METADATA, Table.BOXES])
@pytest.mark.parametrize("ending", COMPRESS)
def test_all_rows_of_a_remote_file_are_read_once(memory: str, table: Table, ending: str) -> None:
    data = to_csv(make_rows(table), "\n")
    file = open_file(memory, table, data, ending)
    for block_bytes in (50, 5000):
        assert_all_rows_once(file, data, block_bytes)


@pytest.mark.parametrize("table", CSV_TABLES)
@pytest.mark.parametrize("ending", COMPRESS)
def test_small_blocks_are_many_blocks(tmp_path: pathlib.Path, table: Table, ending: str) -> None:
    data = to_csv(make_rows(table), "\n")
    blocks = read_all(open_file(str(tmp_path), table, data, ending), 500)
    # A block of a compressed file ends at most a chunk and a record after it holds 500 bytes.
    longest_record = max(len(to_csv([row], "\n")) for row in make_rows(table))
    assert len(blocks) >= len(data) // (500 + 700 + longest_record) > 1


@pytest.mark.parametrize("table", CSV_TABLES)
@pytest.mark.parametrize("ending", COMPRESS)
def test_a_file_without_rows_has_none(tmp_path: pathlib.Path, table: Table, ending: str) -> None:
    file = open_file(str(tmp_path), table, to_csv(make_rows(table)[:1], "\n"), ending)
    # Only a block shows that a compressed file was read.
    assert read_all(file, 100) == ([Block(RangeKey(table, 0, 0), file.rows_start, b"")] if ending else [])


def test_only_plain_tables_with_free_text_are_scanned(tmp_path: pathlib.Path) -> None:
    for table in CSV_TABLES:
        for ending in COMPRESS:
            file = open_file(str(tmp_path), table, to_csv(make_rows(table), "\n"), ending)
            (tmp_path / f"a.csv{ending}").unlink()
            expected = table is Table.METADATA and not ending
            assert {needs_scan(item) for item in plan_ranges(file, 100)} == {expected}


def test_exact_ranges_need_no_further_scan(tmp_path: pathlib.Path) -> None:
    file = open_file(str(tmp_path), Table.METADATA, to_csv(make_rows(Table.METADATA), "\n"), "")
    ranges = exact_ranges(file, 100)
    assert len(ranges) > 1
    assert not any(map(needs_scan, ranges))


@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_nominal_ranges_cover_the_rows_without_overlap(tmp_path: pathlib.Path, block_bytes: int) -> None:
    data = to_csv(make_rows(Table.BOXES), "\n")
    file = open_file(str(tmp_path), Table.BOXES, data, "")
    ranges = plan_ranges(file, block_bytes)
    borders = [file.rows_start, *(item.end for item in ranges)]
    assert [item.start for item in ranges] == borders[:-1]
    assert borders[-1] == len(data)
    assert all(0 < item.end - item.start <= block_bytes for item in ranges)


def test_ranges_keep_the_number_of_their_file(tmp_path: pathlib.Path) -> None:
    data = to_csv(make_rows(Table.METADATA), "\n")
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(data)
    second = open_table(Table.METADATA, ["*.csv"], str(tmp_path), "train")[1]
    assert {item.key.file for item in plan_ranges(second, 500)} == {1}
    assert {block.key.file for block in read_all(second, 500)} == {1}


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_quote_that_is_never_closed_is_an_input_error(
    tmp_path: pathlib.Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK_BYTES", 1 << 16)
    rows = to_csv(make_rows(Table.METADATA), "\n")
    data = rows + b'0000000000000000,"open,\n' + b"0000000000000001,a,b\n" * 100_000
    file = open_file(str(tmp_path), Table.METADATA, data, ending)
    with pytest.raises(InputError) as raised:
        read_all(file, 1 << 16)
    assert raised.value.path == file.path
    assert "quote" in raised.value.problem


def test_a_cut_off_gzip_file_is_an_input_error(tmp_path: pathlib.Path) -> None:
    file = open_file(str(tmp_path), Table.BOXES, to_csv(make_rows(Table.BOXES), "\n"), ".gz")
    path = pathlib.Path(file.path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        read_all(file, 1000)


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
def test_blocks_of_a_compressed_file_have_the_given_size(tmp_path: pathlib.Path, ending: str) -> None:
    rows = make_rows(Table.BOXES)
    file = open_file(str(tmp_path), Table.BOXES, to_csv(rows, "\n"), ending)
    longest = max(len(to_csv([row], "\n")) for row in rows)
    [whole] = plan_ranges(file, 1000)
    sizes = [len(block.data) for block in read_range(file, whole, 1000)]
    assert len(sizes) > 2
    # The rest of the previous block is less than a record, and a chunk is at most a block.
    assert max(sizes) <= 2 * 1000 + longest
