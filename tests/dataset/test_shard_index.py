import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.dataset.shard_index import (
    find_index_files,
    index_file,
    locate_records,
    read_index,
    write_index,
    write_missing_indexes,
)
from oi_tfrecord.dataset.splits import find_records
from oi_tfrecord.errors import InputError
from tests.conftest import convert_arguments


@pytest.fixture
def output_dir(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> pathlib.Path:
    assert run(sample, tmp_path / "out", split="validation").code == 0
    return tmp_path / "out"


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "index").iterdir())}


def test_no_pattern_of_shards_matches_an_index() -> None:
    assert index_file("train.tfrecord-00000-of-00010") == "index/train-00000-of-00010.idx"
    assert index_file("coco.record-00003-of-00100") == "index/coco-00003-of-00100.idx"
    assert index_file("a.tfrecord") == "index/a.tfrecord.idx"


def test_convert_writes_the_index_of_each_shard(output_dir: pathlib.Path) -> None:
    shards = sorted(output_dir.glob("validation.tfrecord-*"))
    assert sorted(find_index_files(str(output_dir))) == [index_file(shard.name) for shard in shards]
    for shard in shards:
        places = find_records(str(shard))
        lines = (output_dir / index_file(shard.name)).read_text().splitlines()
        assert lines == [f"{offset - 12} {length + 16}" for offset, length in places.tolist()]
        np.testing.assert_array_equal(read_index(str(output_dir), shard.name), places)


def test_merge_and_resample_write_indexes(output_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert main(["merge", str(output_dir), f"--to={tmp_path}/merged", "--num_shards=2"]) == 0
    assert main(["resample", str(output_dir), "--split=validation", "--fraction=0.5", f"--to={tmp_path}/part"]) == 0
    for folder in (tmp_path / "merged", tmp_path / "part"):
        shards = sorted(folder.glob("validation.tfrecord-*"))
        assert len(contents(folder)) == len(shards) > 0
        for shard in shards:
            np.testing.assert_array_equal(read_index(str(folder), shard.name), find_records(str(shard)))


def test_a_rerun_writes_what_is_missing_and_overwrite_deletes_our_indexes_only(
    sample: pathlib.Path, output_dir: pathlib.Path, run: Callable
) -> None:
    before = contents(output_dir)
    (output_dir / "index" / "mine.idx").write_text("kept")
    (output_dir / "index" / "validation.idx").write_text("kept")
    [first, *_] = sorted(before)
    (output_dir / "index" / first).unlink()
    assert run(sample, output_dir, split="validation").code == 0
    assert contents(output_dir) == before | {"mine.idx": b"kept", "validation.idx": b"kept"}
    assert (
        main(["convert", *convert_arguments(sample, output_dir, "--num_shards=1", "--overwrite", split="validation")])
        == 0
    )
    assert sorted(contents(output_dir)) == ["mine.idx", "validation-00000-of-00001.idx", "validation.idx"]


def test_a_damaged_shard_gets_no_index(output_dir: pathlib.Path) -> None:
    [shard, *_] = sorted(output_dir.glob("validation.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    (output_dir / index_file(shard.name)).unlink()
    write_missing_indexes(str(output_dir), [shard.name, "validation.tfrecord-00099-of-00100"])
    assert read_index(str(output_dir), shard.name) is None


@pytest.mark.parametrize(
    "text", ["0 20", "x y", "0 5\n", "0 40\n41 20\n", "0 40 3\n", "0 99999999999999999999\n", "1 40\n"]
)
def test_an_index_that_contradicts_its_shard_is_named(text: str, output_dir: pathlib.Path) -> None:
    [shard, *_] = sorted(output_dir.glob("validation.tfrecord-*"))
    (output_dir / index_file(shard.name)).write_text(text)
    with pytest.raises(InputError, match=index_file(shard.name)):
        RecordDataset(str(output_dir), "validation")[0]
    (output_dir / "manifest.json").unlink()
    with pytest.raises(InputError, match=index_file(shard.name)):
        RecordDataset(str(output_dir), "validation")


def test_a_shard_cut_off_between_records_without_manifest_is_not_scanned_by_advice(output_dir: pathlib.Path) -> None:
    [shard, *_] = sorted(output_dir.glob("validation.tfrecord-*"))
    (output_dir / "manifest.json").unlink()
    size = sum(next(iter(read_index(str(output_dir), shard.name)[:1]))) + 4
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(InputError, match=f"{shard.name} has {size} bytes. Restore the shard"):
        RecordDataset(str(output_dir), "validation")


def test_the_number_of_records_is_compared_with_the_manifest(output_dir: pathlib.Path) -> None:
    [shard, *_] = sorted(output_dir.glob("validation.tfrecord-*"))
    size = shard.stat().st_size
    write_index(str(output_dir), shard.name, [size - 16], str(output_dir))
    with pytest.raises(InputError, match="has 1 records, and the manifest 3"):
        locate_records(str(shard), size, 3)
