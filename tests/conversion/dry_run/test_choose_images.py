"""`download` with a choice of images: those that `convert` writes with the same flags."""

import pathlib
from typing import Any

import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from oi_tfrecord.errors import InputError
from oi_tfrecord.sources import download as downloads
from oi_tfrecord.sources.download_options import DownloadOptions
from tests.conftest import convert_arguments


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[DownloadOptions]:
    """The options that the download of a list of images gets, with the ImageIDs in place of the path of the list."""
    seen: list[DownloadOptions] = []

    def note(options: DownloadOptions, **_: Any) -> None:
        seen.append(options)
        raise KeyboardInterrupt(pathlib.Path(options.image_ids).read_text() if options.image_ids else "")

    monkeypatch.setattr(downloads, "download", note)
    return seen


def choose(data: pathlib.Path, folder: pathlib.Path, **options: Any) -> list[str]:
    names = {
        "metadata": ("{split}/images.csv",), "boxes": ("{split}/annotations-human-bbox.csv",),
        "human_labels": ("{split}/annotations-human.csv",), "class_descriptions": ("class-descriptions.csv",),
        "class_list": ("classes-bbox-trainable.txt",),
    }  # fmt: skip
    given = {"split": "train", "data_dir": f"{data}/2017_11", "output_dir": str(folder), "image_urls": "original"}
    made = DownloadOptions(**{**names, **given, **options})
    with pytest.raises(KeyboardInterrupt) as raised:
        oi_tfrecord.download(made)
    return str(raised.value).split()


def converted(sample: pathlib.Path, folder: pathlib.Path, *flags: str) -> set[str]:
    arguments = [*convert_arguments(sample, folder, *flags), "--max_rejects=100%", "--missing_images=skip"]
    assert main(["convert", *arguments]) == 0
    return {bytes(record["image_id"]).decode() for record in oi_tfrecord.RecordDataset(folder, "train")}


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"max_images": 7}, ["--max_images=7"]),
        ({"sample": 0.4, "select": "all"}, ["--sample=0.4", "--select=all"]),
        ({"min_box_side": 0.3}, ["--min_box_side=0.3"]),
    ],
    ids=["max_images", "sample", "min_box_side"],
)
def test_the_images_are_those_that_convert_writes(
    asked: list[DownloadOptions],
    sample: pathlib.Path,
    tmp_path: pathlib.Path,
    options: dict[str, Any],
    flags: list[str],
) -> None:
    chosen = choose(sample, tmp_path / "images", **options)
    assert chosen == sorted(set(chosen))
    assert converted(sample, tmp_path / "records", *flags) == set(chosen)
    assert not asked[0].chooses


def test_images_are_chosen_by_class(asked: list[DownloadOptions], sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    names = (sample / "2017_11" / "class-descriptions.csv").read_text().splitlines()
    boxable = set((sample / "2017_11" / "classes-bbox-trainable.txt").read_text().split())
    boxes = (sample / "2017_11" / "train" / "annotations-human-bbox.csv").read_text().splitlines()[1:]
    mid = next(row.split(",")[2] for row in boxes if row.split(",")[2] in boxable)
    expected = {row.split(",")[0] for row in boxes if row.split(",")[2] == mid}
    name = next(line.split(",", 1)[1] for line in names if line.startswith(mid + ","))
    chosen = choose(sample, tmp_path / "images", classes=(name.strip('"'),))
    assert chosen
    assert set(chosen) <= expected


def test_without_a_choice_no_other_table_is_read(
    asked: list[DownloadOptions], sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert choose(sample, tmp_path / "images", boxes=("none.csv",)) == []
    assert asked[0].image_ids == ""


def test_a_choice_of_no_image_is_an_error(sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    options = DownloadOptions(
        metadata=("{split}/images.csv",), boxes=("{split}/annotations-human-bbox.csv",), split="train",
        class_descriptions=("class-descriptions.csv",), data_dir=f"{sample}/2017_11", output_dir=str(tmp_path / "out"),
        image_urls="original", sample=1e-9,
    )  # fmt: skip
    with pytest.raises(InputError, match="none of its images is chosen by --sample"):
        oi_tfrecord.download(options)
