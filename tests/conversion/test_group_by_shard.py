import pathlib

import numpy as np
import pytest

from oi_tfrecord.conversion.group_by_shard import _FindRows
from oi_tfrecord.dataset.error_relay import find_relayed_error, relay_errors
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import StorageError
from oi_tfrecord.join.batches import RowsByShard
from oi_tfrecord.join.shuffle_files import write_rows
from oi_tfrecord.openimages.schema import METADATA_ROW, RangeKey, Table


def test_an_error_of_a_file_of_the_shuffle_names_the_file(tmp_path: pathlib.Path) -> None:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})
    rows = np.zeros(2, METADATA_ROW)
    made = RowsByShard(RangeKey(Table.METADATA, 0, 0), (), rows, {}, np.array([0, 1]), np.array([0, 1, 2]))
    write_rows(work.shuffle, made)
    [(shard, slices)] = _FindRows(work.shuffle, work).process(1, 1)
    assert (shard, slices.shard) == (1, 1)
    gone = pathlib.Path(work.shuffle) / "metadata-0-0.rows"
    gone.unlink()
    with pytest.raises(StorageError), relay_errors(work):
        slices.tables()
    relayed = find_relayed_error(work, RuntimeError("what a runner makes of it"))
    assert isinstance(relayed, StorageError)
    assert relayed.path == str(gone)
