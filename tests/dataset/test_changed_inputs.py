import dataclasses
import hashlib
import os
import pathlib

from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.changed_inputs import find_changed
from oi_tfrecord.dataset.coverage import Unit
from oi_tfrecord.dataset.manifest import TableInput


def table_input(path: pathlib.Path) -> TableInput:
    info = path.stat()
    return TableInput("boxes", 0, str(path), info.st_size, 1, modified=info.st_mtime)


def no_archives(path: str) -> int:
    raise AssertionError(f"{path} is no archive")


def test_files_that_stay_as_they_are_are_not_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "boxes[1].csv"
    path.write_bytes(b"12345")
    assert find_changed([table_input(path)], [], {str(path): hashlib.sha256(b"12345").hexdigest()}, no_archives) == {}


def test_each_change_is_named(tmp_path: pathlib.Path) -> None:
    grown, replaced, removed = (tmp_path / name for name in ("grown.csv", "replaced.csv", "removed.csv"))
    for path in (grown, replaced, removed):
        path.write_bytes(b"12345")
    inputs = list(map(table_input, (grown, replaced, removed)))
    grown.write_bytes(b"123456")
    replaced.write_bytes(b"54321")
    os.utime(replaced, (1, 1))
    removed.unlink()
    changed = find_changed(inputs, [], {str(grown): "", str(removed): ""}, no_archives)
    assert list(changed) == [str(grown), str(replaced), str(removed)]
    assert "has the same size" in changed[str(replaced)]
    assert changed[str(removed)] == "was removed while the run used it"
    assert (
        find_changed(inputs, [], {}, no_archives)[str(grown)]
        == "was changed while it was read: it had 5 bytes and has 6"
    )


def test_a_class_file_counts_by_its_content(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(b"a")
    digest = hashlib.sha256(b"a").hexdigest()
    os.utime(path, (1, 1))
    assert find_changed([], [], {str(path): digest}, no_archives) == {}
    path.write_bytes(b"b")
    assert find_changed([], [], {str(path): digest}, no_archives) == {str(path): "was changed while the run used it"}


def test_an_archive_counts_by_its_content(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"12345")
    archive = dataclasses.replace(table_input(path), table="image_files", unit=Unit.FILES)
    account = RangeAccount("image_files", 0, 0, 0, 1, 77, 1, 1, {}, {}, {}, ends_open=False, is_last=True)
    os.utime(path, (1, 1))
    assert find_changed([archive], [account], {}, lambda _: 77) == {}
    assert "has the same size" in find_changed([archive], [account], {}, lambda _: 78)[str(path)]
