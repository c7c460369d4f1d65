import pathlib

import pytest

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.files import expand_split
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.published_files import COLUMNS, PublishedFile, parse_published_files
from oi_tfrecord.settings.yaml_file import find_shipped_file, read_config

SHIPPED = find_shipped_file("downloads.csv")
HEADER = ",".join(COLUMNS)
CHALLENGE = ("challenge2019", "challenge2019-segmentation")
SPLITS = dict.fromkeys(("v1", *CHALLENGE), ("train", "validation"))
RELEASES = ("v1", "v2", "v3", "v4", "v5", "v6", "v7", *CHALLENGE, "miap")


def parse(text: str, release: str = "v5", split: str = "train") -> list[PublishedFile]:
    return parse_published_files(f"{HEADER}\n{text}".encode(), "downloads.csv", release, split)


def shipped(release: str, split: str) -> list[PublishedFile]:
    return parse_published_files(SHIPPED.read_bytes(), str(SHIPPED), release, split)


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_detection_needs_has_an_address(release: str) -> None:
    for split in SPLITS.get(release, ("train", "validation", "test")):
        config, files = read_config(release, {"split": split}), shipped(release, split)
        fields = ["metadata", "class_descriptions", *(["boxes", "class_list"] if config.select == "boxed" else [])]
        for field in fields:
            names = [expand_split(name, split) for name in getattr(config, field)]
            assert any(file.holds(name) for name in names for file in files), (release, split, field)


def test_shipped_addresses_are_those_of_the_publisher_once_each() -> None:
    for release in RELEASES:
        for split in SPLITS.get(release, ("train", "validation", "test")):
            files = shipped(release, split)
            assert len({file.url for file in files}) == len(files)
            assert len({name for file in files for name in file.files}) == sum(len(file.files) for file in files)
            hosts = {file.url.split("/")[2] for file in files}
            assert hosts <= {"storage.googleapis.com", "raw.githubusercontent.com"}
            for file in files:
                assert len(file.md5) in (0, 32)
                assert len(file.sha256) in (0, 64)


def test_known_sizes_and_checksums_are_read() -> None:
    [boxes] = [file for file in shipped("v7", "validation") if file.name == "validation-annotations-bbox.csv"]
    assert (boxes.size, boxes.md5) == (25_105_048, "c5e8200df129ea6867e913e8b21fcab9")


def test_real_class_files_have_the_shipped_checksums(real: pathlib.Path) -> None:
    import hashlib

    path = real / "challenge2019" / "oid-challenge-2019-classes-description-500.csv"
    [file] = [file for file in shipped("challenge2019", "train") if path.name.endswith(file.name)]
    assert (file.size, file.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def real() -> pathlib.Path:
    from tests.conftest import DATA

    if not (DATA / "real").is_dir():
        pytest.skip("the folder of real files is missing")
    return DATA / "real"


def test_releases_are_names_or_ranges() -> None:
    row = "v4-v6 other,all,{split}.csv,https://h/{split}/a.csv,5,,"
    for release in ("v4", "v5", "v6", "other"):
        assert parse(row, release) == [PublishedFile("https://h/train/a.csv", ("train.csv",), 5)]
    assert parse(row, "v7") == []


def test_files_of_other_splits_are_left_out() -> None:
    assert parse("v5,test,a.csv,https://h/a.csv,,,") == []


def test_a_mirror_takes_the_place_of_the_host() -> None:
    file = PublishedFile("https://storage.googleapis.com/openimages/v5/a.csv", ("a.csv",), 5)
    assert file.at_mirror("http://m:80/").url == "http://m:80/openimages/v5/a.csv"
    assert file.at_mirror("https://m/sub").url == "https://m/sub/openimages/v5/a.csv"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("v5,all,a.csv,https://h/a.csv,5.0,,", "line 2: bytes is '5.0'"),
        ("v5,all,a.csv,ftp://h/a.csv,5,,", "line 2: url is 'ftp://h/a.csv'"),
    ],
)
def test_a_bad_row_is_named(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse(text)


def test_a_table_without_a_column_is_named() -> None:
    with pytest.raises(InputError, match="no column releases"):
        parse_published_files(b"url\n", "downloads.csv", "v5", "train")


@pytest.mark.parametrize("release", CHALLENGE)
def test_a_configuration_of_each_track_of_the_challenge_is_shipped(release: str) -> None:
    config = read_config(release, {})
    assert isinstance(config, ConvertConfig)
    assert config.release == release
    assert any(file.holds(config.hierarchy[0]) for file in shipped(release, "train"))


@pytest.mark.parametrize("release", ["v5", "v6", "v7", "challenge2019-segmentation"])
def test_releases_with_masks_have_an_archive_for_each_hex_digit(release: str) -> None:
    for split in SPLITS.get(release, ("train", "validation", "test")):
        archives = [file for file in shipped(release, split) if file.is_mask_archive]
        assert [file.name[-5] for file in archives] == list("0123456789abcdef")
        assert all(file.url.endswith(f"/{split}-masks/{file.name}") for file in archives)
        assert release == "challenge2019-segmentation" or all(file.size and file.md5 for file in archives)
