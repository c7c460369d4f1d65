"""Images that are not there, with --missing_images=skip: counted by themselves, and no reason to fail."""

import json
import pathlib
import tarfile
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.errors import InputError
from tests.support import small_release
from tests.support.small_release import Release, convert


@pytest.fixture
def release(tmp_path: pathlib.Path) -> Release:
    return small_release.write_release(tmp_path / "data", images=12, faults=False)


def remove_images(release: Release, count: int) -> None:
    for image_id in release.image_ids[:count]:
        (release.folder / "images" / f"{image_id}.jpg").unlink()


def split_of(output_dir: pathlib.Path) -> dict[str, Any]:
    split: dict[str, Any] = json.loads((output_dir / "manifest.json").read_bytes())["splits"]["train"]
    return split


def skip(release: Release, output_dir: pathlib.Path, **flags: object) -> int:
    return main(["convert", *release.flags(output_dir, **{"missing_images": "skip", "max_rejects": "0", **flags})])


def test_images_that_are_not_there_are_counted_by_themselves(
    release: Release, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remove_images(release, 9)
    assert skip(release, tmp_path / "out") == 0
    assert "0 rejected, 9 skipped (image_missing 9)" in capsys.readouterr().out
    split = split_of(tmp_path / "out")
    assert split["balanced"]
    assert split["images"]["skipped"] == {"image_missing": 9}
    assert (split["images"]["records"], split["images"]["rejected"]) == (3, {})
    for table in split["tables"].values():
        assert table["rejected"] == {}
        assert table["dropped"]["image_not_there"] > 0
    assert split["tables"]["metadata"]["dropped"]["image_not_there"] == 9
    assert (tmp_path / "out" / "rejects-train.csv").read_text().count("\n") == 1
    assert main(["verify", str(tmp_path / "out")]) == 0


def test_the_records_are_those_that_reject_gives(release: Release, tmp_path: pathlib.Path) -> None:
    remove_images(release, 5)
    assert skip(release, tmp_path / "skip") == 0
    assert convert(release.flags(tmp_path / "reject")) == 0
    for path in (tmp_path / "reject").glob("train.tfrecord-*"):
        assert (tmp_path / "skip" / path.name).read_bytes() == path.read_bytes()


def test_skipped_images_that_are_supplied_are_converted_by_the_same_command(
    release: Release, tmp_path: pathlib.Path
) -> None:
    assert skip(release, tmp_path / "whole") == 0
    path = release.folder / "images" / f"{release.image_ids[4]}.jpg"
    path.rename(tmp_path / "held")
    assert skip(release, tmp_path / "out") == 0
    (tmp_path / "held").rename(path)
    assert skip(release, tmp_path / "out") == 0
    assert split_of(tmp_path / "out") == split_of(tmp_path / "whole")


def test_other_faults_of_images_stay_rejects(release: Release, tmp_path: pathlib.Path) -> None:
    remove_images(release, 2)
    (release.folder / "images" / f"{release.image_ids[5]}.jpg").write_bytes(b"")
    assert skip(release, tmp_path / "out") == 2
    images = split_of(tmp_path / "out")["images"]
    assert (images["skipped"], images["rejected"]) == ({"image_missing": 2}, {"image_empty": 1})


def test_who_holds_some_of_the_archives_converts_these(release: Release, tmp_path: pathlib.Path) -> None:
    archive = tmp_path / "train_0.tar"
    with tarfile.open(archive, "w") as tar:
        for image_id in release.image_ids[:4]:
            tar.add(release.folder / "images" / f"{image_id}.jpg", f"train_0/{image_id}.jpg")
    assert skip(release, tmp_path / "out", images=None, archives=archive) == 0
    split = split_of(tmp_path / "out")
    assert split["images"]["skipped"] == {"image_missing": 8}
    assert split["tables"]["image_files"]["dropped"]["image_not_there"] == 0
    assert main(["verify", str(tmp_path / "out")]) == 0


def test_images_behind_the_cut_of_an_archive_are_rejects(release: Release, tmp_path: pathlib.Path) -> None:
    archive = tmp_path / "train_0.tar"
    with tarfile.open(archive, "w") as tar:
        for image_id in release.image_ids:
            tar.add(release.folder / "images" / f"{image_id}.jpg", f"train_0/{image_id}.jpg")
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    assert skip(release, tmp_path / "out", images=None, archives=archive) == 2
    images = split_of(tmp_path / "out")["images"]
    assert "skipped" not in images
    assert images["rejected"]["image_unreadable"] > 1


def test_a_conversion_without_any_image_stops_all_the_same(release: Release, tmp_path: pathlib.Path) -> None:
    remove_images(release, 12)
    with pytest.raises(InputError, match="none of the 12 images that were looked for is there"):
        convert(release.flags(tmp_path / "out", num_shards=None, missing_images="skip"))
