import dataclasses
import io
import pathlib
import random
import tarfile
from collections import Counter

import numpy as np
import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion import list_archive as list_archive_module
from oi_tfrecord.conversion.list_archive import list_archive
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.read_tables import whole_archive
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.join.batches import Batch, decode
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.sources.archive_format import Storing
from oi_tfrecord.sources.archive_listing import open_archives
from tests.support import small_release

NUM_SHARDS = 3
# The highest and the lowest ImageID together: as a list of numbers they fit no signed integer.
IDS = [0, (1 << 64) - 1, *(number << 50 | number for number in range(1, 31))]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> RangeJob:
    release = small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=8, faults=False)
    flags = release.flags(tmp_path_factory.mktemp("out"), num_shards=NUM_SHARDS)
    return make_plan(parse_convert(flags).config).range_job(frozenset({1}))


def pack(path: pathlib.Path, compression: str = "") -> dict[int, bytes]:
    """Packs an image of each ID, with a text after every third; returns the images."""
    images = {image_id: random.Random(image_id).randbytes(image_id % 4000) for image_id in IDS}
    with tarfile.open(path, f"w:{compression}") as tar:
        for number, (image_id, data) in enumerate(images.items()):
            names = [(f"x/{image_id:016x}.jpg", data), *([(f"x/{number}.txt", b"text")] if number % 3 == 2 else [])]
            for name, content in names:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return images


def read_all(job: RangeJob, path: pathlib.Path) -> tuple[list[tuple[int, Batch]], list[RangeAccount], int]:
    """Returns the batches by shard, the accounts, and the bytes of progress."""
    progress: list[int] = []
    [archive] = open_archives([str(path)], "")
    job = dataclasses.replace(job, archives={(archive.listing, archive.number): archive})
    batches, accounts = [], []
    for block in list_archive(job, whole_archive(archive), progress.append):
        batches += [(shard, decode(batch)) for shard, batch in block.rows.batches()]
        accounts.append(block.account)
    return batches, accounts, sum(progress)


@pytest.mark.parametrize("compression", ["", "gz"])
@pytest.mark.parametrize("block_members", [1, 7, len(IDS), 1000])
def test_every_image_is_a_row_of_its_shard(
    job: RangeJob, compression: str, block_members: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_archive_module, "BLOCK_MEMBERS", block_members)
    images = pack(tmp_path / "x", compression)
    batches, results, passed = read_all(job, tmp_path / "x")
    shard = dict(zip(IDS, shard_of(hash_ids(np.array(IDS, np.uint64)), NUM_SHARDS).tolist(), strict=True))
    sizes = {}
    for number, batch in batches:
        assert batch.key.table is Table.IMAGE_FILES
        for row in batch.rows:
            image_id = int(row["image_id"])
            assert number == shard[image_id]
            sizes[image_id] = int(row["size"])
            assert row["storing"] == (Storing.NOT_KEPT if compression else Storing.PLAIN)
        assert not batch.text_columns
    # Shard 1 is finished, and takes no rows.
    assert sizes == {image_id: len(data) for image_id, data in images.items() if shard[image_id] != 1}
    assert sum(result.rows_read for result in results) == len(IDS) + len(IDS) // 3
    assert sum(result.line_count for result in results) == len(IDS) + len(IDS) // 3
    assert [result.index for result in results] == list(range(len(results)))
    assert passed == (tmp_path / "x").stat().st_size
    borders = [0, *(result.end for result in results)]
    assert [result.start for result in results] == borders[:-1]
    assert borders[-1] == len(IDS) + len(IDS) // 3
    assert [result.is_last for result in results] == [False] * (len(results) - 1) + [True]


def test_lines_count_members_from_the_start_of_their_block(
    job: RangeJob, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_archive_module, "BLOCK_MEMBERS", 5)
    pack(tmp_path / "x")
    batches, results, _ = read_all(job, tmp_path / "x")
    first = np.cumsum([0, *(result.line_count for result in results)])
    with tarfile.open(tmp_path / "x") as tar:
        names = tar.getnames()
    for _, batch in batches:
        for row in batch.rows:
            assert names[first[batch.key.index] + int(row["line"])] == f"x/{int(row['image_id']):016x}.jpg"


def test_an_archive_of_several_patterns_is_one(tmp_path: pathlib.Path) -> None:
    for name in ("b.tar", "a.tar", "train.tar"):
        pack(tmp_path / name)
    files = open_archives([f"{tmp_path}/{{split}}.tar", f"{tmp_path}/*.tar"], "train")
    # In the order of the patterns, then by name.
    assert [pathlib.Path(file.path).name for file in files] == ["train.tar", "a.tar", "b.tar"]
    assert [file.number for file in files] == [0, 1, 2]
    assert Counter(file.listing for file in files) == {Table.IMAGE_FILES: 3}


def test_what_cannot_be_read_is_named_before_anything_starts(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="archives: no file matches"):
        open_archives([str(tmp_path / "none.tar")], "")
    pack(tmp_path / "x.tar.bz2", "bz2")
    with pytest.raises(InputError, match="bzip2"):
        open_archives([str(tmp_path / "x.tar.bz2")], "")
