import os
import pathlib

from oi_tfrecord import storage
from oi_tfrecord.storage.paths import FileInfo


def test_size_and_time_of_a_local_file_are_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"123")
    os.utime(path, (5, 7.5))
    assert storage.match(str(path)) == [FileInfo(str(path), 3, 7.5)]
    assert storage.match(str(tmp_path)) == []
