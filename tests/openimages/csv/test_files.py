import bz2
import functools
import gzip
import os
import pathlib
import random
import warnings
from collections.abc import Callable, Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import InputError, NotFoundError
from oi_tfrecord.openimages.csv.files import find, open_decompressed, open_table, read_rows, read_whole, split_hint
from oi_tfrecord.openimages.schema import Table
from tests.support.memory_filesystem import MemoryFileSystem

LABELS = b"ImageID,Source,LabelName,Confidence\n" + b"000a1249af2bc5f0,verification,/m/01g317,1\n" * 3000
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


@pytest.fixture(params=["local", "brackets", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    MemoryFileSystem.files.clear()
    kinds = {"local": str(tmp_path), "brackets": f"{tmp_path}/V3 [all]", "memory": "memory://bucket/data"}
    yield kinds[request.param]
    MemoryFileSystem.files.clear()


def put(folder: str, name: str, data: bytes = b"") -> str:
    path = storage.join(folder, name)
    storage.make_folder(path.rpartition("/")[0])
    storage.write(path, data, folder)
    return path


def found(names: list[str], folder: str, split: str = "train") -> list[str]:
    return [info.path.removeprefix(folder + "/") for info in find(names, folder, split, "boxes")]


def test_the_first_name_that_matches_is_taken(folder: str) -> None:
    put(folder, "train/b.csv")
    put(folder, "c.csv")
    assert found(["a.csv", "{split}/b.csv", "c.csv"], folder) == ["train/b.csv"]
    assert found(["c.csv", "{split}/b.csv"], folder) == ["c.csv"]


def test_plain_goes_before_gz_and_gz_before_bz2(folder: str) -> None:
    for ending in (".bz2", ".gz", ""):
        put(folder, "a.csv" + ending)
        assert found(["a.csv"], folder) == ["a.csv" + ending]


def test_an_earlier_name_compressed_goes_before_a_later_one_plain(folder: str) -> None:
    put(folder, "a.csv.bz2")
    put(folder, "b.csv")
    assert found(["a.csv", "b.csv"], folder) == ["a.csv.bz2"]


def test_a_pattern_finds_all_files_by_name(folder: str) -> None:
    for name in ("x/a-2.csv", "x/a-1.csv", "y/a-0.csv", "x/b.csv"):
        put(folder, name)
    assert found(["*/a-*.csv"], folder) == ["x/a-1.csv", "x/a-2.csv", "y/a-0.csv"]


def test_an_absolute_name_leaves_data_dir_aside(folder: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "elsewhere.csv").touch()
    put(folder, "elsewhere.csv")
    assert [info.path for info in find([f"{tmp_path}/elsewhere.csv"], folder, "train", "boxes")] == [
        f"{tmp_path}/elsewhere.csv"
    ]


def test_size_is_that_of_the_stored_bytes(folder: str) -> None:
    data = gzip.compress(LABELS)
    put(folder, "a.csv.gz", data)
    [info] = find(["a.csv"], folder, "train", "boxes")
    assert info.size == len(data)


def test_the_error_of_a_missing_file_names_the_patterns_and_the_remedy(folder: str) -> None:
    put(folder, "other.csv")
    names = ["{split}/a.csv", "*/b.csv"]
    with pytest.raises(NotFoundError) as raised:
        find(names, folder, "test", "machine_labels")
    assert raised.value.path == folder
    assert "no file for machine_labels" in raised.value.problem
    for tried in (f"{folder}/test/a.csv", f"{folder}/*/b.csv", ".gz", ".bz2"):
        assert tried in raised.value.problem
    for flag in ("--data_dir", "--split", "--machine_labels"):
        assert flag in raised.value.remedy


@pytest.mark.parametrize("ending", COMPRESS)
def test_open_table_reads_the_header(folder: str, ending: str) -> None:
    stored = COMPRESS[ending](LABELS)
    path = put(folder, "labels.csv" + ending, stored)
    [file] = open_table(Table.HUMAN_LABELS, ["labels.csv"], folder, "train")
    assert (file.table, file.number, file.path, file.size) == (Table.HUMAN_LABELS, 0, path, len(stored))
    assert file.names == ("ImageID", "Source", "LabelName", "Confidence")
    assert (file.rows_start, file.header_lines) == (LABELS.index(b"\n") + 1, 1)
    assert file.compressed is bool(ending)


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link to nothing"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_is_no_file_is_an_error_and_no_later_name_is_taken(kind: str, ending: str, tmp_path: pathlib.Path) -> None:
    odd = tmp_path / f"first.csv{ending}"
    make = {"a pipe": os.mkfifo, "a folder": os.mkdir, "a link to nothing": functools.partial(os.symlink, "nothing")}
    make[kind](odd)
    (tmp_path / "second.csv").write_bytes(b"ImageID\n")
    with pytest.raises(InputError, match=rf"first\.csv{ending}: is {kind}, not a file"):
        find(["first.csv", "second.csv"], str(tmp_path), "train", "metadata")


def test_open_table_numbers_the_files_of_a_pattern(folder: str) -> None:
    for name in ("b.csv", "a.csv"):
        put(folder, name, LABELS)
    files = open_table(Table.HUMAN_LABELS, ["*.csv"], folder, "train")
    assert [(file.number, file.path) for file in files] == [(0, f"{folder}/a.csv"), (1, f"{folder}/b.csv")]


def error_of(folder: str, name: str, table: Table = Table.BOXES) -> InputError:
    with pytest.raises(InputError) as raised:
        open_table(table, [name], folder, "train")
    return raised.value


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"ImageID,LabelName,XMin,XMax,YMin\n", "'YMax'"),
        (b"000a1249af2bc5f0,xclick,/m/01g317,1,0,1,0,1,0,0,0,0,0\n", "header line is missing"),
        (b"ImageID,LabelName,XMin,XMax,YMin,YMax,XMin\n", "more than once: XMin"),
        ("ImageID,LabelName\n".encode("utf-16"), "UTF-16"),
        (gzip.compress(LABELS), "compressed (gzip)"),
    ],
)
def test_bad_header_names_the_file(folder: str, data: bytes, problem: str) -> None:
    path = put(folder, "boxes.csv", data)
    error = error_of(folder, "boxes.csv")
    assert error.path == path
    assert problem in error.problem


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
def test_plain_bytes_under_a_compressed_name_are_an_input_error(folder: str, ending: str) -> None:
    path = put(folder, "labels.csv" + ending, LABELS)
    error = error_of(folder, "labels.csv", Table.HUMAN_LABELS)
    assert error.path == path
    assert "cannot be read" in error.problem


@pytest.mark.parametrize("ending", COMPRESS)
def test_read_rows_gives_all_bytes_after_the_header(folder: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "labels.csv" + ending, COMPRESS[ending](LABELS))
    [file] = open_table(Table.HUMAN_LABELS, ["labels.csv"], folder, "train")
    expected = LABELS[LABELS.index(b"\n") + 1 :]
    assert b"".join(read_rows(file)) == expected
    # The header may end within any chunk.
    for chunk_bytes in (1, 7, file.rows_start, file.rows_start + 1, 1000):
        monkeypatch.setattr("oi_tfrecord.openimages.csv.files._CHUNK_BYTES", chunk_bytes)
        assert b"".join(read_rows(file)) == expected


@functools.cache
def damaged(ending: str, damage: str) -> bytes:
    """Returns a compressed file with damage behind its header: bzip2 decodes blocks of 900 kB as a whole."""
    rows = (b"%016x,verification,/m/01g317,1\n" % (number * 0x9E3779B97F4A7C15 % (1 << 64)) for number in range(40_000))
    stored = bytearray(COMPRESS[ending](LABELS[: LABELS.index(b"\n") + 1] + b"".join(rows)))
    place = len(stored) * 4 // 5
    if damage == "cut off":
        del stored[place:]
    elif damage == "flipped":
        stored[place] ^= 0xFF
    else:
        stored[place : place + 2000] = bytes(2000)
    return bytes(stored)


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
@pytest.mark.parametrize("damage", ["cut off", "flipped", "zeros"])
def test_damage_in_a_compressed_file_is_an_input_error(folder: str, ending: str, damage: str) -> None:
    path = put(folder, "labels.csv" + ending, damaged(ending, damage))
    [file] = open_table(Table.HUMAN_LABELS, ["labels.csv"], folder, "train")
    with pytest.raises(InputError) as raised:
        list(read_rows(file))
    assert raised.value.path == path
    assert "Download it again" in raised.value.remedy


def test_damage_within_a_deflate_stream_is_an_input_error(tmp_path: pathlib.Path) -> None:
    # A block of the reserved type 3 (RFC 1951, section 3.2.3), which zlib itself refuses.
    header = gzip.compress(b"")[:10]
    (tmp_path / "labels.csv.gz").write_bytes(header + b"\x07" + bytes(100))
    error = error_of(str(tmp_path), "labels.csv", Table.HUMAN_LABELS)
    assert "cannot be read" in error.problem


def test_several_gzip_members_are_one_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(LABELS[:100]) + gzip.compress(LABELS[100:]))
    [file] = open_table(Table.HUMAN_LABELS, ["labels.csv"], str(tmp_path), "train")
    assert b"".join(read_rows(file)) == LABELS[LABELS.index(b"\n") + 1 :]


@pytest.mark.parametrize("ending", COMPRESS)
def test_files_are_closed(tmp_path: pathlib.Path, ending: str) -> None:
    path = put(str(tmp_path), "labels.csv" + ending, COMPRESS[ending](LABELS))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with open_decompressed(path) as stream:
            assert stream.read() == LABELS
        open_fds = [link.resolve() for link in pathlib.Path("/proc/self/fd").glob("*") if link.is_symlink()]
    assert stream.closed
    assert pathlib.Path(path) not in open_fds


def test_a_name_may_hold_the_short_name_of_a_split(folder: str) -> None:
    put(folder, "a-val.csv")
    put(folder, "a-train.csv")
    for split, name in (("validation", "a-val.csv"), ("train", "a-train.csv")):
        [info] = find(["a-{short_split}.csv"], folder, split, "boxes")
        assert info.path == f"{folder}/{name}"


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_small_file_is_read_whole(folder: str, ending: str) -> None:
    put(folder, f"a.csv{ending}", COMPRESS[ending](LABELS))
    assert read_whole(f"{folder}/a.csv{ending}") == LABELS


def test_a_small_file_that_is_damaged_is_an_input_error(folder: str) -> None:
    put(folder, "a.csv.gz", gzip.compress(LABELS)[:-9])
    with pytest.raises(InputError, match="cannot be read") as raised:
        read_whole(f"{folder}/a.csv.gz")
    assert raised.value.path == f"{folder}/a.csv.gz"


def in_two_streams(compress: Callable[[bytes], bytes]) -> bytes:
    middle = len(LABELS) // 2
    return compress(LABELS[:middle]) + compress(LABELS[middle:])


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
def test_every_stream_of_a_compressed_table_is_read(ending: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(in_two_streams(COMPRESS[ending]))
    assert read_whole(str(path)) == LABELS


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
def test_no_flipped_bit_gives_other_rows(ending: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"x.csv{ending}"
    whole = in_two_streams(COMPRESS[ending])
    errors = 0
    for place in random.Random(21).sample(range(8 * len(whole)), 1000):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            assert read_whole(str(path)) == LABELS, place
        except InputError:
            errors += 1
    assert errors > 900


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
@pytest.mark.parametrize("strange", [b"x", b"more text", b"\0\0x"])
def test_bytes_behind_a_compressed_table_are_an_error(ending: str, strange: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(COMPRESS[ending](LABELS) + strange)
    with pytest.raises(InputError, match="cannot be read"):
        read_whole(str(path))


@pytest.mark.parametrize(
    ("split", "hint"),
    [
        ("val", "validation"), ("Train", "train"), ("training", "train"), ("VALID", "validation"),
        ("dev", "validation"), ("testing", "test"), ("tset", "test"), ("train", ""), ("mine", ""), ("t", ""),
    ],
)  # fmt: skip
def test_another_way_to_write_a_split_gets_a_hint(split: str, hint: str) -> None:
    assert split_hint(split) == (f" (did you mean --split={hint}?)" if hint else "")
