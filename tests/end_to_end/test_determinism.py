import bz2
import csv
import gzip
import io
import itertools
import pathlib
import random
import re
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.openimages.image_id import hash_ids
from tests.support import small_release
from tests.support.small_release import Release, convert

IMAGES = 150
SHARED = {"extra_keys": "attribution", "label_order": "frequency", "workers": 1}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release whose metadata and boxes are several ranges of 1 MiB."""
    folder = tmp_path_factory.mktemp("release")
    written = small_release.write_release(folder / "data", images=IMAGES, boxes=140, title_bytes=20_000)
    for table in ("metadata", "boxes"):
        assert (written.folder / "train" / small_release.TABLES[table]).stat().st_size > 1 << 20
    return written


@pytest.fixture(scope="module")
def plain(release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an undisturbed conversion in one process."""
    output_dir = tmp_path_factory.mktemp("plain")
    assert convert(release.flags(output_dir, **SHARED)) == 0
    files = small_release.dataset(output_dir)
    assert len([name for name in files if ".tfrecord-" in name]) == 5
    return files


def only_shards(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if ".tfrecord-" in name}


def without_work_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    """Returns the files but those of the work folder, which stays as the rejected images can be corrected."""
    return {name: data for name, data in files.items() if not name.startswith(".oi_tfrecord-train/")}


@pytest.mark.parametrize("workers", [2, 4])
def test_worker_processes_give_the_files_of_one_process(
    workers: int, release: Release, plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    done = small_release.run_command(release.flags(tmp_path / "out", **SHARED | {"workers": workers}))
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(tmp_path / "out") == plain


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_small_ranges_give_the_same_shards_and_rejects(
    workers: int, release: Release, plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    flags = release.flags(tmp_path, **SHARED | {"workers": workers, "csv_block_mb": 1})
    assert small_release.run_command(flags).returncode == 0
    # What the work folder holds of each range depends on the ranges.
    files, plain = without_work_folder(small_release.dataset(tmp_path)), without_work_folder(plain)
    assert files.keys() == plain.keys()
    assert b'"csv_block_mb": 1' in files["manifest.json"]
    assert files["manifest.json"].count(b"crc32c_of_ranges") == plain["manifest.json"].count(b"crc32c_of_ranges") == 3
    for name in files.keys() - {"manifest.json"}:
        assert files[name] == plain[name], name


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_tables_give_the_same_shards_and_rejects(
    ending: str,
    compress: Callable[[bytes], bytes],
    release: Release,
    plain: dict[str, bytes],
    tmp_path: pathlib.Path,
) -> None:
    data_dir = tmp_path / "data"
    (data_dir / "train").mkdir(parents=True)
    for path in release.folder.glob("*.*"):
        shutil.copy(path, data_dir)
    for path in (release.folder / "train").iterdir():
        (data_dir / "train" / (path.name + ending)).write_bytes(compress(path.read_bytes()))
    flags = release.flags(tmp_path / "out", **SHARED | {"data_dir": data_dir, "csv_block_mb": 1})
    assert convert(flags) == 0
    files = small_release.dataset(tmp_path / "out")
    assert only_shards(files) == only_shards(plain)
    assert files["label_map.pbtxt"] == plain["label_map.pbtxt"]
    renamed = files["rejects-train.csv"].decode().replace(f".csv{ending},", ".csv,").replace(str(data_dir), "")
    assert renamed == plain["rejects-train.csv"].decode().replace(f",{release.folder}/train", ",/train")


@pytest.mark.parametrize("order", ["groups", "interleaved"])
def test_order_of_the_input_rows_does_not_matter(
    order: str, release: Release, plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    chosen = random.Random(3)
    for path in release.folder.glob("*.*"):
        (tmp_path / "data").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "data")
    for table in small_release.TABLES:
        header, *rows = small_release.read_table(release.folder, table)
        groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: row[0])]
        chosen.shuffle(groups)
        if order == "interleaved":
            # Rows of many images lie mixed, those of one image in the order they had.
            turns = [number for number, group in enumerate(groups) for _ in group]
            chosen.shuffle(turns)
            remaining = [iter(group) for group in groups]
            shuffled = [next(remaining[number]) for number in turns]
        else:
            shuffled = [row for group in groups for row in group]
        assert shuffled != rows
        assert sorted(shuffled) == sorted(rows)
        small_release.write_table(tmp_path / "data", table, [header, *shuffled])
    flags = release.flags(tmp_path / "out", **SHARED | {"data_dir": tmp_path / "data", "csv_block_mb": 1})
    assert convert(flags) == 0
    assert only_shards(small_release.dataset(tmp_path / "out")) == only_shards(plain)


@pytest.mark.parametrize("num_shards", [1, 8])
def test_number_of_shards_changes_neither_the_records_nor_their_order(
    num_shards: int, release: Release, plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    assert convert(release.flags(tmp_path, **SHARED | {"num_shards": num_shards})) == 0
    names = [f"train.tfrecord-{shard:05d}-of-{num_shards:05d}" for shard in range(num_shards)]
    assert list(small_release.shards(tmp_path)) == names
    found = list(small_release.records(tmp_path))
    (tmp_path / "plain").mkdir()
    for name, data in only_shards(plain).items():
        (tmp_path / "plain" / name).write_bytes(data)
    assert found == list(small_release.records(tmp_path / "plain"))


def test_records_are_those_of_the_readable_images_in_the_order_of_the_hash(
    release: Release, plain: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    for name, data in only_shards(plain).items():
        (tmp_path / name).write_bytes(data)
    found = []
    for record in small_release.records(tmp_path):
        # The comment that small_release puts into each JPEG.
        [image_id] = re.findall(rb"image ([0-9a-f]{16})", record)
        found.append(int(image_id, 16))
    assert sorted(found) == sorted(int(item, 16) for item in set(release.image_ids) - set(release.broken.values()))
    hashes = hash_ids(np.array(found, np.uint64)).tolist()
    assert hashes == sorted(hashes)


def test_rejects_name_the_line_of_the_file(release: Release, plain: dict[str, bytes]) -> None:
    text = plain["rejects-train.csv"].decode()
    rejects = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rejects) == release.expected.rejects
    for table, name in small_release.TABLES.items():
        path = release.folder / "train" / name
        lines = path.read_bytes().decode().split("\n")
        own = [item for item in rejects if item["Table"] == table]
        assert {item["File"] for item in own} == {str(path)}
        for item in own:
            assert item["ImageID"] in lines[int(item["Line"]) - 1]
        [duplicate] = [item for item in own if item["Reason"] == "duplicate"]
        assert lines[int(duplicate["Line"]) - 1].startswith(duplicate["ImageID"])
