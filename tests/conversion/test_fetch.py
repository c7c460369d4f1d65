import gzip
import io
import pathlib
import tarfile
import urllib.parse
from collections.abc import Iterator

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.conversion.fetch import fetch, plan_fetch, with_data_dir
from oi_tfrecord.errors import ConfigError, InputError, StorageError
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.published_files import COLUMNS, PublishedFile, parse_published_files
from oi_tfrecord.settings.yaml_file import read_config
from oi_tfrecord.sources.fetch_files import FetchStatus, describe_files, summary_lines, unpack
from oi_tfrecord.sources.transfer import TransferCounts
from tests.support.mask_release import MaskRelease, pack_by_first_digit, write_release
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.mirror import Fault, Mirror
from tests.support.mirror_release import SHIPPED, publish_release


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirror() as running:
        yield running


def config_of(mirror: Mirror, folder: pathlib.Path, release: str, **more: object) -> ConvertConfig:
    table = folder / release / "downloads.csv"
    if not table.exists():
        publish_release(mirror, folder / release, release)
    given = {"split": "validation", "data_dir": str(folder / "data"), "mirror": mirror.url, "downloads": str(table)}
    return read_config(release, given | more)


def names_in(folder: pathlib.Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("release", ["v1", "v2", "v3", "v4", "v5", "v6", "v7"])
def test_each_release_is_found_by_its_configuration(mirror: Mirror, tmp_path: pathlib.Path, release: str) -> None:
    config = config_of(mirror, tmp_path, release)
    result = fetch(config)
    assert result.files
    assert not result.kept
    mirror.requests.clear()
    again = fetch(config)
    assert again.files == ()
    assert mirror.requests == []


def test_the_files_of_v7_are_those_of_the_split(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    fetch(config_of(mirror, tmp_path, "v7"))
    assert names_in(tmp_path / "data") == {
        "validation-images-with-rotation.csv", "validation-annotations-bbox.csv",
        "validation-annotations-human-imagelabels-boxable.csv", "oidv7-class-descriptions.csv",
        "oidv7-class-descriptions-boxable.csv",
    }  # fmt: skip
    assert all(count == 1 for count in mirror.gets().values())


def test_only_the_split_is_unpacked(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    fetch(config_of(mirror, tmp_path, "v3"))
    assert names_in(tmp_path / "data") == {
        "2017_11/validation/images.csv", "2017_11/validation/annotations-human-bbox.csv",
        "2017_11/validation/annotations-human.csv", "2017_11/class-descriptions.csv",
        "2017_11/classes-bbox-trainable.txt", "2017_11/classes-trainable.txt",
    }  # fmt: skip
    name = "2017_11/validation/images.csv"
    assert (tmp_path / "data" / name).read_bytes() == (tmp_path / "v3/sample" / name).read_bytes()


def test_both_label_files_of_v1_come(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    config = config_of(mirror, tmp_path, "v1")
    fetch(config)
    human = "human_ann_2016_08/validation/labels.csv"
    assert {human, "machine_ann_2016_08/validation/labels.csv", "dict.csv"} < names_in(tmp_path / "data")
    (tmp_path / "data" / human).unlink()
    assert [file.name for file in fetch(config).files] == ["human_ann_2016_08_v3.tar.gz"]


def test_only_what_is_missing_comes(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    config = config_of(mirror, tmp_path, "v7")
    fetch(config)
    (tmp_path / "data" / "validation-annotations-bbox.csv").unlink()
    # A file of the user's own, under another name that the configuration has.
    folder = tmp_path / "data" / "validation"
    folder.mkdir()
    (tmp_path / "data" / "validation-images-with-rotation.csv").unlink()
    (folder / "validation-images-with-rotation.csv.gz").write_bytes(gzip.compress(b"ImageID\n"))
    mirror.requests.clear()
    result = fetch(config)
    assert [file.name for file in result.files] == ["validation-annotations-bbox.csv"]
    assert len(mirror.requests) == 1
    assert len(result.kept) == 4


def test_a_cut_file_that_is_there_is_named(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    config = config_of(mirror, tmp_path, "v7")
    fetch(config)
    path = tmp_path / "data" / "validation-annotations-bbox.csv"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"it has 100 bytes, the published file has .*Delete it"):
        fetch(config)


def test_a_broken_fetch_is_resumed_and_cleans_up(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    config = config_of(mirror, tmp_path, "v7", fetch_attempts=1)
    path = "/openimages/v5/validation-annotations-bbox.csv"
    mirror.faults[path] = [Fault(sent=500)]
    with pytest.raises(StorageError, match="validation-annotations-bbox"):
        fetch(config)
    assert "validation-annotations-bbox.csv" not in names_in(tmp_path / "data")
    fetch(config)
    assert mirror.ranges(path) == [None, "bytes=500-"]
    assert not (tmp_path / "data" / ".oi_tfrecord-fetch").exists()


def test_a_needed_file_without_an_address_is_named(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"no file for class_list.*oidv7-classes-trainable.txt"):
        fetch(config_of(mirror, tmp_path, "v7", task="classification"))
    assert mirror.requests == []


def test_a_table_that_is_not_needed_is_left_out_with_a_note(tmp_path: pathlib.Path) -> None:
    config = read_config("v7", {"split": "validation", "data_dir": str(tmp_path)})
    published = [
        PublishedFile(f"https://h/{name}", (name,))
        for name in (
            "validation-images-with-rotation.csv", "validation-annotations-bbox.csv",
            "oidv7-class-descriptions-boxable.csv",
        )
    ]  # fmt: skip
    plan = plan_fetch(config, published)
    assert list(plan.missing) == published
    assert plan.notes == ("no address of a file for human_labels is known; the records are without its keys",)


def test_by_default_files_go_to_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert with_data_dir(ConvertConfig(release="v7")).data_dir == f"{tmp_path}/oi_tfrecord/v7"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert with_data_dir(ConvertConfig(release="v7")).data_dir == f"{tmp_path}/.cache/oi_tfrecord/v7"


def test_files_go_to_remote_storage(mirror: Mirror, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(MemoryFileSystem, "files", {})
    result = fetch(config_of(mirror, tmp_path, "v7", data_dir="memory://tables"))
    assert result.data_dir == "memory://tables"
    names = {name.rpartition("/")[2] for name in MemoryFileSystem.files}
    assert "validation-annotations-bbox.csv" in names
    assert names_in(tmp_path / "cache") == set()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"split": ""}, "split"),
        ({"downloads": "/nowhere.csv"}, "downloads"),
        ({"release": "other"}, "fetch"),
    ],
)
def test_the_option_to_correct_is_named(given: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        fetch(read_config("v7", {"split": "validation"} | given))
    assert raised.value.field == field


def archive(path: pathlib.Path, members: dict[str, bytes]) -> pathlib.Path:
    with tarfile.open(path, "w:gz") as writing:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writing.addfile(info, io.BytesIO(data))
    return path


def test_members_are_found_below_other_folders(tmp_path: pathlib.Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"x/y/train/a.csv": b"1", "test/a.csv": b"2", "b.csv": b"3", "c": b"4"})
    file = PublishedFile("https://h/a.tar.gz", ("v/train/a.csv", "v/b.csv"))
    unpack(path, file, str(tmp_path / "data"), str(tmp_path))
    assert (tmp_path / "data/v/train/a.csv").read_bytes() == b"1"
    assert (tmp_path / "data/v/b.csv").read_bytes() == b"3"
    assert names_in(tmp_path / "data") == {"v/train/a.csv", "v/b.csv"}


def test_an_archive_that_lacks_a_file_is_named(tmp_path: pathlib.Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"test/a.csv": b"2"})
    with pytest.raises(InputError, match=r"lacks v/train/a\.csv"):
        unpack(path, PublishedFile("https://h/a.tar.gz", ("v/train/a.csv",)), str(tmp_path), str(tmp_path))


def test_a_damaged_archive_is_dropped(tmp_path: pathlib.Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"train/a.csv": bytes(100_000)})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="cannot be read"):
        unpack(path, PublishedFile("https://h/a.tar.gz", ("train/a.csv",)), str(tmp_path), str(tmp_path))
    assert names_in(tmp_path) == set()


def test_the_line_before_the_start_says_how_much_comes() -> None:
    line = describe_files({"a": 2_000_000, "b": 500_000, "c": None}, "data")
    assert line == "fetch      3 files to data: 2.50 MB and 1 of unknown size"


def test_the_progress_line_says_what_is_left() -> None:
    now = [0.0]
    status = FetchStatus(TransferCounts(), 3, 40_000_000, is_whole=True, clock=lambda: now[0])
    assert status.parts() == ["0 %", "0 bytes/40.0 MB", "0 MB/s", "0/3 files"]
    status.counts.add(size=20_000_000, received=10_000_000, retries=2, files=1)
    now[0] = 5.0
    # Half of the 20 MB that are there was there before.
    assert "  ".join(status.parts()) == "33 %  0:10 left  20.0 MB/40.0 MB  2 MB/s  1/3 files  2 requests sent again"


def test_the_summary_names_the_folder(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    first, second = summary_lines(fetch(config_of(mirror, tmp_path, "v7")))
    assert first.startswith("fetched    5 files, ")
    assert first.endswith("0 were there")
    assert second == f"tables     {tmp_path}/data"


def publish_masks(mirror: Mirror, folder: pathlib.Path) -> tuple[MaskRelease, str]:
    """Puts a split of V5 with masks on a mirror; returns the split and the table of addresses."""
    release = write_release(folder / "v5", images=20, faults=False)
    pack_by_first_digit(release.files(), folder, "zip")
    rows = [",".join(COLUMNS)]
    for file in parse_published_files(SHIPPED.read_bytes(), str(SHIPPED), "v5", "train"):
        place = (folder if file.is_mask_archive else release.folder) / file.name
        if place.exists():
            data = mirror.files[urllib.parse.urlsplit(file.url).path] = place.read_bytes()
            rows.append(f"v5,train,{file.files[0]},{file.url},{len(data)},,")
    (folder / "downloads.csv").write_text("\n".join(rows) + "\n")
    return release, str(folder / "downloads.csv")


def test_archives_of_masks_come_if_masks_are_wanted(
    mirror: Mirror, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release, table = publish_masks(mirror, tmp_path)
    given = {"split": "train", "data_dir": str(tmp_path / "data"), "mirror": mirror.url, "downloads": table}
    assert not fetch(read_config("v5", given)).mask_archives
    assert not (tmp_path / "data" / "masks").exists()
    result = fetch(read_config("v5", given | {"extra_keys": ("masks",)}))
    assert result.mask_archives == (f"{tmp_path}/data/masks/train-masks-?.zip",)
    assert f"masks      --mask_archives={tmp_path}/data/masks/train-masks-?.zip" in summary_lines(result)
    assert names_in(tmp_path / "data" / "masks") == {f"train-masks-{digit}.zip" for digit in "0123456789abcdef"}

    # A conversion that fetches needs no flag for them, and reads the masks that it reads from files.
    flags = {
        "config": "v5",
        "split": "train",
        "extra_keys": "masks",
        "images": f"{release.folder}/images/{{image_id}}.jpg",
    }
    flags |= {"data_dir": tmp_path / "data", "num_shards": 2, "workers": 1, "output_dir": tmp_path / "fetched"}
    fetched = [*(f"--{name}={value}" for name, value in flags.items()), "--fetch", f"--mirror={mirror.url}"]
    assert main(["convert", *fetched, f"--downloads={table}"]) == 0
    local = release.flags(tmp_path / "local", num_shards=2)
    assert main(["convert", *local]) == 0
    assert "were there" in capsys.readouterr().err
    shards = {folder: sorted((tmp_path / folder).glob("*.tfrecord-*")) for folder in ("fetched", "local")}
    assert len(shards["fetched"]) == 2
    for one, other in zip(shards["fetched"], shards["local"], strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_given_masks_are_not_fetched(mirror: Mirror, tmp_path: pathlib.Path) -> None:
    _, table = publish_masks(mirror, tmp_path)
    given = {"split": "train", "data_dir": str(tmp_path / "data"), "mirror": mirror.url, "downloads": table}
    result = fetch(read_config("v5", given | {"extra_keys": ("masks",), "mask_files": "masks/{mask_path}"}))
    assert not result.mask_archives
    assert not any(request.path.endswith(".zip") for request in mirror.requests)
