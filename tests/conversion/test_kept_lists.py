import pathlib
import pickle

import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion import kept_lists
from oi_tfrecord.conversion.convert import convert
from oi_tfrecord.conversion.kept_lists import LONG_LIST, split_lists, store_lists
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.openimages.csv.filters import RowFilters
from tests.support import small_release


@pytest.fixture
def work(tmp_path: pathlib.Path) -> WorkFolder:
    work = WorkFolder.of(str(tmp_path / "out"), "train")
    work.create({})
    return work


def test_long_lists_lie_in_files_and_come_back(work: WorkFolder) -> None:
    ids = np.arange(1, 3 * LONG_LIST, 2, dtype=np.uint64)
    names = pa.array([f"image {number}".encode() for number in ids.tolist()], pa.binary())
    box_ids = frozenset(f"box{number}" for number in range(LONG_LIST + 1))
    filters = RowFilters(image_ids=ids, image_names=names, box_ids=box_ids)
    store_lists(filters, work)
    small, lists = split_lists(filters, work)
    assert (small.image_ids, small.image_names, small.box_ids) == (None, None, None)
    filled = lists.fill(small)
    np.testing.assert_array_equal(filled.image_ids, ids)
    assert filled.image_names == names
    assert filled.box_ids == box_ids


def test_short_lists_stay_where_they_are(work: WorkFolder) -> None:
    filters = RowFilters(image_ids=np.arange(LONG_LIST, dtype=np.uint64), box_ids=frozenset({"a"}))
    small, lists = split_lists(filters, work)
    assert small is filters
    assert lists.fill(small) is filters


def test_a_job_with_millions_of_image_ids_is_small(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    (tmp_path / "ids.txt").write_text("".join(f"{number:016x}\n" for number in range(200_000)))
    plan = make_plan(parse_convert(release.flags(tmp_path / "out", image_ids=tmp_path / "ids.txt")).config)
    assert len(pickle.dumps(plan.with_shards(2048).range_job(frozenset()))) < 100_000


def test_a_long_list_gives_the_records_of_a_short_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    _, *rows = small_release.read_table(release.folder, "metadata")
    chosen = [row[0] for row in rows[:5]]
    (tmp_path / "ids.txt").write_text("\n".join(chosen))
    made = []
    for name in ("short", "long"):
        flags = release.flags(tmp_path / name, num_shards=2, image_ids=tmp_path / "ids.txt", max_rejects="100%")
        convert(parse_convert(flags).config)
        made.append(small_release.shards(tmp_path / name))
        monkeypatch.setattr(kept_lists, "LONG_LIST", 2)
    assert made[0] == made[1]
    assert sum(map(len, made[0].values()))
