"""Of which release the files of a folder are; tests/end_to_end/releases/test_release_layouts.py tries every pair."""

import dataclasses
import itertools
import pathlib
import re
import shutil

import pytest

from oi_tfrecord.conversion.planning.plan_inputs import plan_tables
from oi_tfrecord.errors import InputError, NotFoundError
from oi_tfrecord.openimages.csv.files import open_table
from oi_tfrecord.openimages.demo import release as sample
from oi_tfrecord.openimages.release_headers import RELEASES
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.find_release import check_release, find_fitting_releases, naming_the_release, needed_tables
from oi_tfrecord.settings.yaml_file import read_config


@pytest.fixture(scope="module")
def v6(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The files of V6. Not to be changed."""
    root = tmp_path_factory.mktemp("v6")
    sample.generate(root, release="v6", train_images=1, validation_images=1)
    return root / "v6"


def config_of(name: str, data_dir: pathlib.Path, split: str = "train") -> ConvertConfig:
    return read_config(name, {"data_dir": str(data_dir), "split": split})


def test_the_tables_that_are_needed() -> None:
    config = ConvertConfig(driver="human_labels", select="all")
    assert needed_tables(config) == {Table.HUMAN_LABELS}
    assert needed_tables(dataclasses.replace(config, select="boxed")) == {Table.HUMAN_LABELS, Table.BOXES}


def test_releases_that_fit_find_all_files_with_their_headers(v6: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert find_fitting_releases(config_of("v1", v6)) == ["v6"]
    assert find_fitting_releases(config_of("v1", v6, "validation")) == ["v4", "v5", "v6"]
    assert find_fitting_releases(config_of("v1", tmp_path)) == []
    # Metadata alone is that of no release.
    (tmp_path / "images_2016_08" / "train").mkdir(parents=True)
    (tmp_path / "images_2016_08" / "train" / "images.csv").write_text("ImageID,OriginalURL\n")
    (tmp_path / "dict.csv").write_text('"/m/01g317","person"\n')
    assert find_fitting_releases(config_of("v1", tmp_path)) == []


def test_a_header_of_another_release_names_the_one_whose_files_are_there(v6: pathlib.Path) -> None:
    [boxes] = open_table(Table.BOXES, ("oidv6-train-annotations-bbox.csv",), str(v6), "train")
    check_release(config_of("v6", v6), boxes)
    with pytest.raises(InputError, match=r"that of v6, not of v4\. Give --config=v6") as caught:
        check_release(config_of("v4", v6), boxes)
    assert (caught.value.path, caught.value.line) == (boxes.path, 1)
    with pytest.raises(InputError, match="that of v6 or v7, not of v4"):
        check_release(dataclasses.replace(config_of("v4", v6), data_dir="/nowhere"), boxes)


def missing() -> NotFoundError:
    return NotFoundError("folder", "no file for boxes", "Check --data_dir")


def test_a_missing_file_names_the_release_whose_files_are_there(v6: pathlib.Path) -> None:
    message = r"no file for boxes; .* those of v6, not of v4\. Give --config=v6"
    with pytest.raises(InputError, match=message), naming_the_release(config_of("v4", v6)):
        raise missing()


@pytest.mark.parametrize("config", ["v6", ""])
def test_a_missing_file_stays_missing_where_no_other_release_is_there(config: str, v6: pathlib.Path) -> None:
    own = dataclasses.replace(config_of("v6", v6), release=config)
    with pytest.raises(NotFoundError), naming_the_release(own):
        raise missing()


@pytest.fixture(scope="module", params=["v3", "v4", "v6"])
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The files of a release. Not to be changed."""
    root = tmp_path_factory.mktemp("layout")
    sample.generate(root, release=request.param, train_images=1, validation_images=1)
    [folder] = (path for path in root.iterdir() if path.name not in ("images", "masks"))
    return folder


@pytest.mark.parametrize("columns", [8, 13, 21])
def test_following_the_advice_leads_to_no_second_refusal(
    columns: int, layout: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Tables with fewer columns than the release has, as third-party tools write them, under each configuration."""
    folder = shutil.copytree(layout, tmp_path / layout.name)
    for path in folder.rglob("*bbox.csv"):
        lines = path.read_text().splitlines()
        path.write_text("".join(",".join(line.split(",")[:columns]) + "\n" for line in lines))
    for name, split in itertools.product(RELEASES, ("train", "validation")):
        config = config_of(name, folder, split)
        try:
            with naming_the_release(config):
                plan_tables(config)
        except InputError as error:
            advised = dict(re.findall(r"--(config|release)=(\w+)", error.remedy))
            followed = config_of(advised.get("config", name), folder, split)
            followed = dataclasses.replace(followed, release=advised.get("release", followed.release))
            with naming_the_release(followed):
                assert plan_tables(followed).files


def test_the_boxes_of_an_evaluation_split_are_needed_unless_other_images_are_asked_for(v6: pathlib.Path) -> None:
    config = config_of("v6", v6, "validation")
    assert needed_tables(config) == {Table.METADATA, Table.BOXES}
    assert needed_tables(dataclasses.replace(config, select="all")) == {Table.METADATA}
    assert needed_tables(dataclasses.replace(config, split="train", select="labelled")) == {Table.METADATA}
