"""A generated split in the layout of each release, converted with `--config` alone, and with every other one."""

import csv
import gzip
import pathlib
import re
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.openimages.demo import pictures
from oi_tfrecord.openimages.demo import release as sample
from oi_tfrecord.openimages.demo.layouts import values_of
from oi_tfrecord.openimages.release_headers import RELEASES
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.example_reader import Values, parse_example
from tests.conftest import Converted

SEED = 20171116
COUNTS = {"train": 12, "validation": 12}
SIDES = {"ymin": "YMin", "xmin": "XMin", "ymax": "YMax", "xmax": "XMax"}
FLAGS = {"group_of": "IsGroupOf", "occluded": "IsOccluded", "truncated": "IsTruncated", "depiction": "IsDepiction"}

# Which configurations read a layout: where the names and headers are the same nothing distinguishes the releases, and
# nothing need. V2 and V3 differ in their folder, V4 and V5 in line ends, V4 to V6 only in the files of train.
READERS = {
    "train": [{"v1"}, {"v2", "v3"}, {"v2", "v3"}, *[{"v4", "v5", "v6"}] * 2, {"v6"}, {"v7"}],
    "validation": [{"v1"}, {"v2", "v3"}, {"v2", "v3"}, *[{"v4", "v5", "v6"}] * 3, {"v7"}],
}

Record = dict[str, Values]


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """The sample in each layout. Not to be changed: copy it."""
    root = tmp_path_factory.mktemp("releases")
    for name in RELEASES:
        sample.generate(root / name, release=name, train_images=COUNTS["train"], validation_images=COUNTS["validation"])
    return {name: root / name for name in RELEASES}


@pytest.fixture
def run_release(
    capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> Callable[[pathlib.Path, str, str], Converted]:
    def run(folder: pathlib.Path, config: str, split: str, *flags: str) -> Converted:
        capfd.readouterr()
        output_dir = tmp_path / f"{folder.name}-{config}-{split}"
        [data_dir] = (path for path in folder.iterdir() if path.name not in ("images", "masks"))
        arguments = [
            f"--config={config}", f"--split={split}", f"--data_dir={data_dir}", f"--output_dir={output_dir}",
            f"--images={folder}/images/{{split}}/{{image_id}}.jpg", "--num_shards=2", "--workers=1", *flags,
        ]  # fmt: skip
        code = main(["convert", *arguments])
        out, err = capfd.readouterr()
        return Converted(code, output_dir, out, err)

    return run


def records(converted: Converted, split: str) -> dict[str, Record]:
    found = {}
    for shard in find_splits(str(converted.output_dir))[split].shards:
        for _, data in read_shard(shard):
            record = parse_example(data)
            found[texts(record["image/source_id"])[0]] = record
    return found


def texts(values: Values) -> list[str]:
    assert isinstance(values, list)
    return [value.decode() for value in values]


def label_map_mids(release: str) -> list[str]:
    """Returns the MIDs of a release's label map in order, from what the generator knows."""
    mids = sorted({**pictures.BOX_NAMES, **pictures.IMAGE_NAMES}, key=lambda mid: mid.replace("_", ""))
    if release == "v1":
        return sorted(mids)
    if release in ("v2", "v3"):
        return [mid for mid in pictures.BOX_NAMES if mid not in pictures.NOT_TRAINABLE]
    return [mid for mid in mids if mid in pictures.BOX_NAMES]


def drawn(release: str, split: str) -> dict[str, tuple[bytes, dict[Table, list[dict[str, str]]]]]:
    """Returns the JPEG and the rows of the label map's classes of each image, from what the generator knows."""
    mids = label_map_mids(release)
    images = {}
    for index in range(COUNTS[split]):
        picture = pictures.draw_picture(split, index, SEED)
        rows = {
            table: [values_of(release, table, row) for row in rows if row.get("LabelName", mids[0]) in mids]
            for table, rows in pictures.annotate(split, picture).items()
        }
        if release == "v1":
            rows[Table.BOXES] = []
        if (release, split) == ("v1", "train"):
            rows[Table.HUMAN_LABELS] = []
        is_labelled = split != "train" and rows[Table.HUMAN_LABELS]
        if rows[Table.BOXES] or is_labelled or release == "v1":
            images[picture.image_id] = picture.jpeg, rows
    return images


def assert_records_are_those_drawn(converted: Converted, release: str, split: str) -> None:
    assert converted.code == 0, converted.err
    found, expected = records(converted, split), drawn(release, split)
    assert found.keys() == expected.keys()
    ids = {mid: number for number, mid in enumerate(label_map_mids(release), 1)}
    label_map = read_label_map(str(converted.output_dir))
    assert label_map is not None
    assert {item.name: item.id for item in label_map.items} == ids
    has_flags = release != "v1" and (split, release) not in (("train", "v2"), ("train", "v3"))
    for image_id, (jpeg, rows) in expected.items():
        record = found[image_id]
        assert record["image/encoded"] == [jpeg]
        boxes, human, machine = rows[Table.BOXES], rows[Table.HUMAN_LABELS], rows[Table.MACHINE_LABELS]
        assert texts(record["image/object/class/text"]) == [row["LabelName"] for row in boxes]
        assert list(record["image/object/class/label"]) == [ids[row["LabelName"]] for row in boxes]
        for side, column in SIDES.items():
            assert list(record[f"image/object/bbox/{side}"]) == [np.float32(float(row[column])) for row in boxes]
        for flag, column in FLAGS.items():
            if has_flags:
                assert list(record[f"image/object/{flag}"]) == [row[column] == "1" for row in boxes]
            else:
                assert f"image/object/{flag}" not in record
        assert texts(record["image/class/text"]) == [row["LabelName"] for row in human]
        assert list(record["image/class/label"]) == [ids[row["LabelName"]] for row in human]
        assert list(record["image/class/confidence"]) == [float(row["Confidence"]) for row in human]
        if release == "v1":
            assert texts(record["image/machine_class/text"]) == [row["LabelName"] for row in machine]
            confidences = [np.float32(float(row["Confidence"])) for row in machine]
            assert list(record["image/machine_class/confidence"]) == confidences
        else:
            assert "image/machine_class/text" not in record


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("config", RELEASES)
def test_every_config_reads_a_release_rightly_or_names_the_one_that_does(
    release: str, config: str, split: str, folders: dict[str, pathlib.Path], run_release: Callable[..., Converted]
) -> None:
    readers = READERS[split][RELEASES.index(release)]
    assert release in readers
    converted = run_release(folders[release], config, split)
    if config in readers:
        assert_records_are_those_drawn(converted, release, split)
        assert converted.manifest(split)["balanced"]
        assert not converted.rejects(split)
        return
    assert converted.code == 1
    [named] = re.findall(r"Give --config=(v\d)", converted.err)
    assert named in readers
    assert f"not of {config}" in converted.err
    assert not converted.output_dir.exists()


@pytest.mark.parametrize(("config", "found"), [("v2", "v3"), ("v3", "v2")])
def test_v2_and_v3_are_told_apart_by_their_folder(
    config: str, found: str, folders: dict[str, pathlib.Path], run_release: Callable[..., Converted]
) -> None:
    converted = run_release(folders[found], config, "train", f"--data_dir={folders[found]}")
    assert converted.code == 1
    assert f"Give --config={found}" in converted.err


@pytest.fixture
def copied(release: str, folders: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(folders[release], tmp_path / release)


@pytest.mark.parametrize("split", COUNTS)
def test_a_release_is_read_compressed(
    release: str, split: str, copied: pathlib.Path, run_release: Callable[..., Converted]
) -> None:
    for path in [*copied.rglob("*.csv"), *copied.rglob("*.txt")]:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert_records_are_those_drawn(run_release(copied, release, split), release, split)


@pytest.mark.parametrize("line_end", ["crlf", "mixed"])
def test_a_release_is_read_with_other_line_ends(
    release: str, line_end: str, copied: pathlib.Path, run_release: Callable[..., Converted]
) -> None:
    for path in [*copied.rglob("*.csv"), *copied.rglob("*.txt")]:
        rows = re.findall(rb'(?:[^"\r\n]|"[^"]*")*\r?\n', path.read_bytes())
        assert b"".join(rows) == path.read_bytes()
        ends = [b"\r\n" if line_end == "crlf" or number % 3 else b"\n" for number in range(len(rows))]
        path.write_bytes(b"".join(row.rstrip(b"\r\n") + end for row, end in zip(rows, ends, strict=True)))
    assert_records_are_those_drawn(run_release(copied, release, "validation"), release, "validation")


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("release", RELEASES[3:], indirect=True)
def test_labels_of_all_classes_give_the_records_of_the_boxable_ones(
    release: str, split: str, copied: pathlib.Path, run_release: Callable[..., Converted]
) -> None:
    [boxable] = copied.rglob(f"{split}-annotations-human-imagelabels-boxable.csv")
    boxable.unlink()
    converted = run_release(copied, release, split)
    assert_records_are_those_drawn(converted, release, split)
    assert converted.manifest(split)["tables"]["human_labels"]["dropped"]["class_not_in_label_map"] > 0
    assert not converted.rejects(split)


@pytest.mark.parametrize("release", RELEASES[3:], indirect=True)
def test_names_of_boxable_classes_alone_are_enough_for_boxable_labels(
    release: str, copied: pathlib.Path, run_release: Callable[..., Converted]
) -> None:
    for path in [*copied.rglob("class-descriptions.csv"), *copied.rglob("oidv?-class-descriptions.csv")]:
        path.unlink()
    assert_records_are_those_drawn(run_release(copied, release, "train"), release, "train")


def test_v1_with_the_metadata_of_its_first_edition(
    folders: dict[str, pathlib.Path], tmp_path: pathlib.Path, run_release: Callable[..., Converted]
) -> None:
    copied = shutil.copytree(folders["v1"], tmp_path / "v1")
    path = copied / "2016_08/images_2016_08/validation/images.csv"
    first_edition = (
        "ImageID", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author", "Title"
    )  # fmt: skip
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, first_edition, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    assert_records_are_those_drawn(run_release(copied, "v1", "validation"), "v1", "validation")
    metadata = f"--metadata={path}"
    # Read as V3's, the file is recognised, though the other files are not there.
    refused = run_release(copied, "v3", "validation", metadata, "--select=all")
    assert refused.code == 1
    assert "Give --config=v1" in refused.err


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("release", RELEASES[3:], indirect=True)
def test_a_release_is_converted_for_classification(
    release: str, split: str, folders: dict[str, pathlib.Path], run_release: Callable[..., Converted]
) -> None:
    converted = run_release(folders[release], release, split, "--task=classification")
    assert converted.code == 0, converted.err
    trainable = set(pictures.BOX_NAMES | pictures.IMAGE_NAMES) - pictures.NOT_TRAINABLE
    expected = {}
    for index in range(COUNTS[split]):
        picture = pictures.draw_picture(split, index, SEED)
        rows = [row for row in pictures.annotate(split, picture)[Table.HUMAN_LABELS] if row["LabelName"] in trainable]
        if rows:
            # Model Garden takes every class of image/class as present, so those verified absent stand apart.
            expected[picture.image_id] = tuple(
                [row["LabelName"] for row in rows if row["Confidence"] == value] for value in ("1", "0")
            )
    found = {
        image_id: (texts(record["image/class/text"]), texts(record["image/absent_class/text"]))
        for image_id, record in records(converted, split).items()
    }
    assert found == expected
    assert all(any(labels) for labels in zip(*expected.values(), strict=True))
