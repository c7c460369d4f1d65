import pathlib

import pytest

from oi_tfrecord import storage


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/data/a", True),
        ("data/a", True),
        ("", True),
        ("C:/data", True),
        ("a://b", True),  # one letter is a drive, not a scheme
        ("gs://bucket/a", False),
        ("hdfs://host:1/a", False),
        ("s3a+x.y-z://a", False),
        ("/data/gs://a", True),
    ],
)
def test_is_local(path: str, local: bool) -> None:
    assert storage.is_local(path) is local


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("/data", "a", "b.csv"), "/data/a/b.csv"),
        (("/data/", "a"), "/data/a"),
        (("/data", "/other/a"), "/other/a"),
        (("gs://bucket/data", "a"), "gs://bucket/data/a"),
        (("/data", "gs://bucket/a"), "gs://bucket/a"),
        (("gs://bucket", "gs://other", "a"), "gs://other/a"),
        (("", "a"), "a"),
    ],
)
def test_join(parts: tuple[str, ...], joined: str) -> None:
    assert storage.join(*parts) == joined


def test_escaped_folder_matches_itself_only(tmp_path: pathlib.Path) -> None:
    for name in ("run[1]", "run1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").touch()
    folder = f"{tmp_path}/run[1]"
    assert [info.path for info in storage.match(storage.escape(folder) + "/*.csv")] == [f"{folder}/a.csv"]
    assert storage.escape("gs://bucket/run1") == "gs://bucket/run1"


def test_temporary_paths_differ_and_are_short() -> None:
    one, other = (storage.paths.temporary_path("gs://bucket/work") for _ in range(2))
    assert one != other
    assert one.startswith("gs://bucket/work/")
    assert len(one.rpartition("/")[2]) < 64


def test_all_spellings_of_a_place_are_identified(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    spellings = ["a", "./a", "a/", "link", "link/../a", str(tmp_path / "a"), f"{tmp_path}//a"]
    assert {storage.identify(path) for path in spellings} == {str((tmp_path / "a").resolve())}
    assert {storage.identify(path) for path in ("gs://b/a", "GS://b/./a/", "gs://b//c/../a")} == {"gs://b/a"}
    assert storage.identify("a") != storage.identify("b")
