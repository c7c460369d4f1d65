import pathlib

import pytest
from oi_tfrecord.conversion.transforms import _ReadBatches

from oi_tfrecord.dataset.error_relay import find_relayed_error
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import StorageError
from oi_tfrecord.join.shuffle_files import write_batches


def test_the_error_of_a_file_of_the_shuffle_is_relayed_wherever_it_is_read(tmp_path: pathlib.Path) -> None:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})
    write_batches(work.shuffle, "boxes-0-0", [(0, b"of 0"), (1, b"of 1")])
    [(shard, batches)] = _ReadBatches(work.shuffle, work).process(1, 1)
    assert (shard, list(batches), list(batches)) == (1, [b"of 1"], [b"of 1"])
    gone = pathlib.Path(work.shuffle) / "boxes-0-0.batches"
    gone.unlink()
    with pytest.raises(StorageError):
        list(batches)
    relayed = find_relayed_error(work, RuntimeError("what a runner makes of it"))
    assert isinstance(relayed, StorageError)
    assert relayed.path == str(gone)
