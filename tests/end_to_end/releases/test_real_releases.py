"""Every table and class file of each release that is beside the repository, read with the release's configuration."""

import csv
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.openimages.classes import read_class_list, read_descriptions
from oi_tfrecord.records.example_reader import parse_example
from tests.conftest import DATA, Converted
from tests.support.dataset_rows import rows_by_image

REAL = DATA / "real"
SIDES = {"ymin": "YMin", "xmin": "XMin", "ymax": "YMax", "xmax": "XMax"}
FLAGS = {"group_of": "IsGroupOf", "occluded": "IsOccluded", "truncated": "IsTruncated", "depiction": "IsDepiction"}

# The class files beside the V2 and V3 excerpts are excerpts too.
V3_CLASSES = {
    f"v3_official/classes/2017_11/{name}": name for name in ("class-descriptions.csv", "classes-bbox-trainable.txt")
}
V4_CLASSES = {"v4/class-descriptions-boxable.csv": "class-descriptions-boxable.csv"}
V5_CLASSES = {"v5/class-descriptions-boxable.csv": "class-descriptions-boxable.csv"}
V6_CLASSES = V5_CLASSES | {"v6/oidv6-class-descriptions.csv": "oidv6-class-descriptions.csv"}
V7_CLASSES = {"v7/oidv7-class-descriptions-boxable.csv": "oidv7-class-descriptions-boxable.csv"}
VCM = "v6/mpeg_vcm"
VALIDATION_PAIRS = {"v4/validation-annotations-bbox.paired.csv": "validation-annotations-bbox.csv"}

# Release, split, flags, and what is laid out: the file here to its published name.
CASES: dict[str, tuple[str, str, list[str], dict[str, str]]] = {
    "v1 train": ("v1", "train", [], {
        "v1/train/images.csv": "images_2016_08/train/images.csv",
        "v1/train/labels.csv": "machine_ann_2016_08/train/labels.csv",
        "v1/dict.csv": "dict.csv",
    }),
    "v1 validation": ("v1", "validation", ["--driver=human_labels"], {
        "v1/validation/labels.csv": "machine_ann_2016_08/validation/labels.csv",
        "v1/dict.csv": "dict.csv",
    }),
    **{
        f"{release} {split}": (release, split, flags, V3_CLASSES | {f"{release}/{name}": name for name in names})
        for release, split, flags, names in [
            ("v2", "train", [], [
                "train/images.csv", "train/annotations-human-bbox.csv", "train/annotations-human.csv",
                "train/annotations-machine.csv",
            ]),
            ("v2", "validation", ["--driver=boxes"], ["validation/annotations-human-bbox.csv"]),
            ("v3", "train", [], [
                "train/images.csv", "train/annotations-human-bbox.csv", "train/annotations-machine.csv",
            ]),
            ("v3", "test", ["--driver=boxes"], ["test/annotations-human-bbox.csv", "test/annotations-human.csv"]),
        ]
    },
    "v3 test, official": ("v3", "test", [], V3_CLASSES | {
        f"v3_official/{folder}/2017_11/test/{name}": f"test/{name}"
        for folder, name in [
            ("images", "images.csv"),
            ("annotations_human_bbox", "annotations-human-bbox.csv"),
            ("annotations_human", "annotations-human.csv"),
            ("annotations_machine", "annotations-machine.csv"),
        ]
    }),
    "v4 train": ("v4", "train", ["--driver=boxes"], V4_CLASSES | {
        "v4/train-annotations-bbox.sysaster-subset.csv": "train-annotations-bbox.csv",
    }),
    "v4 train, pairs": ("v4", "train", ["--driver=boxes"], V4_CLASSES | {
        "v4/train-annotations-bbox.paired.csv": "train/train-annotations-bbox.csv",
    }),
    "v4 validation, pairs": ("v4", "validation", ["--driver=boxes"], V4_CLASSES | VALIDATION_PAIRS),
    "v4 test": ("v4", "test", ["--driver=boxes"], V4_CLASSES | {
        "v4/test-annotations-bbox.sysaster-subset.csv": "test-annotations-bbox.csv",
    }),
    "v5 validation, pairs": ("v5", "validation", ["--driver=boxes"], V5_CLASSES | VALIDATION_PAIRS),
    "v6 train": ("v6", "train", [], V6_CLASSES | {
        f"v6/heads/{name}": name
        for name in (
            "oidv6-train-annotations-bbox.csv", "train-annotations-human-imagelabels-boxable.csv",
            "train-images-boxable-with-rotation.csv",
        )
    }),
    "v6 train, pairs": ("v6", "train", ["--driver=boxes"], V6_CLASSES | {
        f"v6/heads/{name}": name
        for name in ("oidv6-train-annotations-bbox.csv", "train-annotations-human-imagelabels-boxable.csv")
    }),
    "v6 validation": ("v6", "validation", ["--driver=boxes"], V6_CLASSES | {
        "v6/heads/validation-annotations-bbox.csv": "validation-annotations-bbox.csv",
    }),
    "v6 validation, pairs": ("v6", "validation", ["--driver=boxes"], V5_CLASSES | VALIDATION_PAIRS),
    "v7 train, pairs": ("v7", "train", ["--driver=boxes"], V7_CLASSES | {
        "v6/heads/oidv6-train-annotations-bbox.csv": "oidv6-train-annotations-bbox.csv",
    }),
    "v7 validation, pairs": ("v7", "validation", ["--driver=boxes"], V7_CLASSES | VALIDATION_PAIRS),
    # The layout of the challenge's evaluation, with names of COCO in place of MIDs: every row is a reject.
    **{
        f"v6 {name}": ("v6", "validation", ["--driver=boxes"], V6_CLASSES | {
            f"{VCM}_{name}.csv": "validation-annotations-bbox.csv",
            f"{VCM}_{labels}.csv": "validation-annotations-human-imagelabels-boxable.csv",
        })
        for name, labels in [
            ("detection_validation_5k_bbox", "detection_validation_labels_5k"),
            ("detection_bbox.held-images", "detection_validation_labels_5k"),
            ("segmentation_validation_bbox_5k", "segmentation_validation_labels_5k"),
            ("segmentation_bbox.held-images", "segmentation_validation_labels_5k"),
        ]
    },
}  # fmt: skip
CLASS_FILES = [
    *(f"{release}/{name}" for release in ("v2", "v3") for name in ("class-descriptions.csv", "classes.txt")),
    *(f"v3_official/classes/2017_11/{name}.txt" for name in ("classes", "classes-trainable", "classes-bbox")),
]
NO_TABLES = {
    "v4/validation-annotations-bbox.paired.provenance.csv",
    "v6/heads/oidv6-relationship-triplets.csv",
    "v6/heads/train-annotations-object-segmentation.csv",
}
"""Files of other columns; besides those in `as-found` folders, which others have rewritten."""
OFFICIAL_V3_OF_OTHER_TESTS = ("train", "validation")
PAIRS = [name for name in CASES if name.endswith("pairs")]

pytestmark = pytest.mark.skipif(not (REAL / "v4").is_dir(), reason=f"the real rows are absent ({REAL})")


@pytest.fixture
def convert_case(tmp_path: pathlib.Path, run: Callable[..., Converted]) -> Callable[..., Converted]:
    def convert(name: str, *flags: str) -> Converted:
        release, split, own_flags, files = CASES[name]
        for source, published in files.items():
            (tmp_path / "data" / published).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REAL / source, tmp_path / "data" / published)
        return run(
            REAL, tmp_path / "out", f"--config={release}", f"--data_dir={tmp_path / 'data'}",
            f"--images={REAL}/images/{{image_id}}.jpg", "--select=all", "--max_rejects=100%", *own_flags, *flags,
            split=split,
        )  # fmt: skip

    return convert


def table_rows(name: str, table: str) -> pathlib.Path | None:
    """Returns the file of a case that is a table, by its published name; V1's labels are of both label tables."""
    marks = {
        "metadata": ("images.csv", "-with-rotation.csv"),
        "boxes": ("bbox.csv",),
        "human_labels": ("annotations-human.csv", "human-imagelabels-boxable.csv", "labels.csv"),
        "machine_labels": ("annotations-machine.csv", "labels.csv"),
    }
    found = [source for source, published in CASES[name][3].items() if published.endswith(marks[table])]
    return REAL / found[0] if found else None


def count_rows(path: pathlib.Path) -> int:
    with path.open(newline="", encoding="utf-8") as lines:
        return sum(bool(row) for row in csv.reader(lines)) - 1


def test_every_file_is_in_a_case() -> None:
    read = {source for _, _, _, files in CASES.values() for source in files}
    for path in sorted(REAL.glob("v*/**/*")):
        name = path.relative_to(REAL).as_posix()
        if path.suffix not in (".csv", ".txt") or "as-found" in name or name in NO_TABLES:
            continue
        if path.parts[-2] in OFFICIAL_V3_OF_OTHER_TESTS and "v3_official" in name:
            continue
        assert name in read or name in CLASS_FILES


@pytest.mark.parametrize("name", CASES)
def test_every_row_is_accounted_for(name: str, convert_case: Callable[..., Converted]) -> None:
    converted = convert_case(name, "--dry_run", "--extra_keys=machine_labels")
    assert converted.code == 0, converted.err
    converted = Converted(0, converted.output_dir / "dry_run", converted.out, converted.err)
    manifest = converted.manifest(CASES[name][1])
    assert manifest["balanced"]
    for table in ("metadata", "boxes", "human_labels", "machine_labels"):
        path = table_rows(name, table)
        assert (path is not None) == (table in manifest["tables"])
        if path is not None:
            entry = manifest["tables"][table]
            assert entry["rows_read"] == count_rows(path) > 0
            assert "malformed_row" not in entry["rejected"]
            assert ("unknown_class" in entry["rejected"]) == ("bbox" in name)
            if "bbox" in name:
                assert sum(entry["rejected"].values()) == entry["rows_read"]


@pytest.mark.parametrize("name", CLASS_FILES)
def test_every_class_is_read(name: str) -> None:
    path = REAL / name
    if path.suffix == ".txt":
        assert read_class_list(path.read_bytes(), name) == path.read_text(encoding="utf-8").splitlines()
        return
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [tuple(row) for row in csv.reader(lines)]
    assert list(read_descriptions(path.read_bytes(), name).items()) == rows


@pytest.mark.parametrize("name", PAIRS)
def test_held_images_become_records_of_exactly_their_rows(name: str, convert_case: Callable[..., Converted]) -> None:
    release, split, _, files = CASES[name]
    converted = convert_case(name)
    assert converted.code == 0, converted.err
    [class_file] = [source for source, published in files.items() if "boxable" in published and "class" in published]
    with (REAL / class_file).open(newline="", encoding="utf-8") as lines:
        classes = [row for row in csv.reader(lines) if row and row[0] != "LabelName"]
    ids = {mid: number for number, (mid, _) in enumerate(classes, 1)}
    assert len(ids) == 601
    label_map = read_label_map(str(converted.output_dir))
    assert label_map is not None
    assert [(item.name, item.display_name) for item in label_map.items] == [tuple(row) for row in classes]
    boxes_file = table_rows(name, "boxes")
    assert boxes_file is not None
    boxes = rows_by_image(boxes_file)
    assert boxes.keys() <= {path.stem for path in (REAL / "images").glob("*.jpg")}
    found = set()
    for shard in find_splits(str(converted.output_dir))[split].shards:
        for _, data in read_shard(shard):
            record = parse_example(data)
            image_id = record["image/source_id"][0].decode()
            rows = boxes[image_id]
            found.add(image_id)
            assert record["image/encoded"] == [(REAL / "images" / f"{image_id}.jpg").read_bytes()]
            assert record["image/object/class/text"] == [row["LabelName"].encode() for row in rows]
            assert list(record["image/object/class/label"]) == [ids[row["LabelName"]] for row in rows]
            for side, column in SIDES.items():
                assert list(record[f"image/object/bbox/{side}"]) == [np.float32(float(row[column])) for row in rows]
            for flag, column in FLAGS.items():
                assert list(record[f"image/object/{flag}"]) == [row[column] == "1" for row in rows]
    assert found == boxes.keys()
    assert not converted.rejects(split)
    assert converted.manifest(split)["config"]["release"] == release
