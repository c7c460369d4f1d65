import errno
import glob
import os
import pathlib

import pytest

from oi_tfrecord import storage


def test_a_link_to_itself_is_no_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    path.symlink_to(path)
    assert not storage.exists(str(path))
    assert storage.match(f"{tmp_path}/*") == []


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "a.csv/b"])
def test_what_cannot_be_a_file_is_none(path: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").touch()
    assert not storage.exists(f"{tmp_path}/{path}")
    assert storage.match(f"{tmp_path}/{path}") == []


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "*.csv",
        "a/*.csv",
        "*/*.csv",
        "a*/*/b.csv",
        "*/b.csv",
        "[!b]/[ab].csv",
        ".*/*",
        "none/*",
        "b.csv/*",
        "**/*",
        "*/",
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_local_files_match_as_in_the_standard_library(
    pattern: str, relative: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.csv", ".c.csv", "a/a.csv", "a/b.csv", "a/c/b.csv", "ab/c/b.csv", ".d/e.csv", "b/c.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    whole = pattern if relative else f"{tmp_path}/{pattern}"
    expected = sorted(name for name in glob.glob(whole) if os.path.isfile(name))
    assert [info.path for info in storage.match(whole)] == expected


@pytest.mark.parametrize("call", ["listdir", "stat"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_looked_at_is_not_taken_for_absent(
    call: str, number: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rejects that lie there would be lost."""
    (tmp_path / "a.csv").touch()

    def fail(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            storage.match(f"{tmp_path}/*.csv")
        if call == "stat":
            with pytest.raises(OSError, match=os.strerror(number)):
                storage.exists(f"{tmp_path}/a.csv")


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device"])
def test_what_is_no_file_is_refused_and_never_waited_for(kind: str, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "x") if kind != "a device" else "/dev/null"
    if kind == "a folder":
        os.mkdir(path)
    if kind == "a pipe":
        os.mkfifo(path)
    for read in (storage.read, lambda path: storage.read_range(path, 0, 1), storage.open_read):
        with pytest.raises(OSError, match=f"Is {kind}, not a file"):
            read(path)
