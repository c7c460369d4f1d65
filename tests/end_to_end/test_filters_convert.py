"""The filters of whole conversions, against a reading of the sample that goes row by row."""

import csv
import dataclasses
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from tests.conftest import Converted
from tests.support import small_release
from tests.support.dataset_rows import read_list, read_rows

TOY_KITE, BIRD_KITE = "/m/02zt3", "/m/01cjsf"
TREE, BALL, STARFISH = "/m/07j7r", "/m/018xm", "/m/01h8tj"
TABLES = {
    "metadata": "images.csv",
    "boxes": "annotations-human-bbox.csv",
    "human_labels": "annotations-human.csv",
    "machine_labels": "annotations-machine.csv",
}
COORDINATES = ("XMin", "XMax", "YMin", "YMax")
OF_IMAGES = ("other_subset", "image_not_selected", "over_max_images")
"""Reasons that are counted only for rows that no other filter leaves out."""
Run = Callable[..., Converted]


def mix(value: int) -> int:
    """fmix64 of MurmurHash3 on Python's integers."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value ^= value >> 33
        value = value * factor % 2**64
    return value ^ value >> 33


def sample_hash(image_id: str) -> int:
    return mix((mix(int(image_id, 16)) + 0x9E3779B97F4A7C15) % 2**64)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a user asks for, as the reading row by row understands it; by default everything."""

    subset: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    box_sources: tuple[str, ...] = ()
    min_confidence: str = "0"
    exclude_flags: tuple[str, ...] = ()
    min_box_side: str = "0"
    max_images: int = 0
    sample: float = 1.0
    image_ids: tuple[str, ...] | None = None
    select: str = "boxed"

    def flags(self, folder: pathlib.Path) -> list[str]:
        """Returns the flags of `convert`; a list of ImageIDs goes to a file in `folder`."""
        flags = [f"--select={self.select}", "--extra_keys=machine_labels"]
        for name in ("subset", "classes", "box_sources", "exclude_flags"):
            if value := getattr(self, name):
                flags.append(f"--{name}={','.join(value)}")
        for name, default in (("min_confidence", "0"), ("min_box_side", "0"), ("max_images", 0), ("sample", 1.0)):
            if (number := getattr(self, name)) != default:
                flags.append(f"--{name}={number}")
        if self.image_ids is not None:
            path = folder / "ids.txt"
            path.write_text("".join(f"{image_id}\n" for image_id in self.image_ids))
            flags.append(f"--image_ids={path}")
        return flags

    def fails(self, table: str, row: dict[str, str]) -> set[str]:
        """Returns the reason of each filter that a row fails."""
        columns = {
            "group_of": "IsGroupOf",
            "depiction": "IsDepiction",
            "inside": "IsInside",
            "occluded": "IsOccluded",
            "truncated": "IsTruncated",
        }
        side = Decimal(1)
        if table == "boxes":
            xmin, xmax, ymin, ymax = (Decimal(row[name]) for name in COORDINATES)
            side = min(xmax - xmin, ymax - ymin)
        is_box = table == "boxes"
        return {
            reason
            for reason, failed in {
                "not_in_image_list": self.image_ids is not None and row["ImageID"] not in self.image_ids,
                "not_sampled": sample_hash(row["ImageID"]) >= self.sample * 2**64,
                "class_not_chosen": table != "metadata" and self.classes and row["LabelName"] not in self.classes,
                "box_source": is_box and self.box_sources and row["Source"] not in self.box_sources,
                "low_confidence": table in ("boxes", "machine_labels")
                and Decimal(row["Confidence"]) < Decimal(self.min_confidence),
                "excluded_flag": is_box and any(row.get(columns[flag]) == "1" for flag in self.exclude_flags),
                "small_box": is_box and side < Decimal(self.min_box_side),
            }.items()
            if failed
        }


@dataclasses.dataclass(frozen=True)
class Expected:
    """What must come of a conversion.

    Attributes:
        images: the annotations of each image.
        failing: by table, the rows that fail each filter.
        removed: by table, the rows that fail any.
        unselected: by table and reason, the other rows that are left out, because of their image.
    """

    images: dict[str, tuple[list, list]]
    failing: dict[str, Counter[str]]
    removed: dict[str, int]
    unselected: dict[str, Counter[str]]


def read_by_row(data: pathlib.Path, split: str, wanted: Wanted) -> Expected:
    """Reads a split without faults as `convert` must."""
    listed = read_list(data / "2017_11" / "classes-bbox-trainable.txt")
    failing: dict[str, Counter[str]] = {table: Counter() for table in TABLES}
    removed = dict.fromkeys(TABLES, 0)
    kept: dict[str, list[dict[str, str]]] = {table: [] for table in TABLES}
    for table, name in TABLES.items():
        for row in read_rows(data / "2017_11" / split / name):
            failed = wanted.fails(table, row)
            if table != "metadata" and row["LabelName"] not in listed:
                failed.add("class_not_in_label_map")
            failing[table].update(failed)
            removed[table] += bool(failed)
            if not failed:
                kept[table].append(row)
    in_subset = {row["ImageID"]: not wanted.subset or row["Subset"] in wanted.subset for row in kept["metadata"]}
    right_subset = {image_id for image_id, is_right in in_subset.items() if is_right}
    by_image = {
        table: {image_id: [row for row in kept[table] if row["ImageID"] == image_id] for image_id in right_subset}
        for table in ("boxes", "human_labels")
    }
    selected = [
        image_id
        for image_id in right_subset
        if wanted.select == "all"
        or by_image["boxes"][image_id]
        or (wanted.select == "labelled" and by_image["human_labels"][image_id])
    ]
    over = [image_id for image_id in sorted(selected, key=sample_hash)[wanted.max_images :] if wanted.max_images]
    limit = sample_hash(over[0]) if over else 2**64

    def why_left_out(table: str, image_id: str) -> str:
        if sample_hash(image_id) >= limit:
            # That an image is of another subset, only its own row says.
            return "over_max_images" if table != "metadata" or in_subset[image_id] else "other_subset"
        return "other_subset" if not in_subset[image_id] else "" if image_id in selected else "image_not_selected"

    unselected = {table: Counter(why_left_out(table, row["ImageID"]) for row in kept[table]) for table in TABLES}
    for count in unselected.values():
        del count[""]
    selected = [image_id for image_id in selected if image_id not in over]
    images = {}
    for image_id in selected:
        boxes = [
            (row["LabelName"], *(float(np.float32(row[name])) for name in COORDINATES))
            for row in by_image["boxes"][image_id]
        ]
        labels = [(row["LabelName"], float(row["Confidence"])) for row in by_image["human_labels"][image_id]]
        images[image_id] = (boxes, labels)
    return Expected(images, failing, removed, unselected)


def read_records(output_dir: pathlib.Path, split: str) -> dict[str, tuple[list, list]]:
    from tests.support.optional import tensorflow as tf

    images = {}
    for record in small_release.records(output_dir, split):
        feature = tf.train.Example.FromString(record).features.feature
        mids = [mid.decode() for mid in feature["image/object/class/text"].bytes_list.value]
        edges = [
            list(feature[f"image/object/bbox/{name.lower()}"].float_list.value) for name in ("xmin", "xmax", "ymin")
        ]
        edges.append(list(feature["image/object/bbox/ymax"].float_list.value))
        labels = zip(
            [mid.decode() for mid in feature["image/class/text"].bytes_list.value],
            feature["image/class/confidence"].float_list.value,
            strict=True,
        )
        [image_id] = feature["image/source_id"].bytes_list.value
        images[image_id.decode()] = (list(zip(mids, *edges, strict=True)), list(labels))
    return images


def ids_of(data: pathlib.Path, split: str = "train") -> tuple[str, ...]:
    return tuple(row["ImageID"] for row in read_rows(data / "2017_11" / split / "images.csv"))


CASES = {
    "nothing": {},
    "subset": {"subset": ("train",)},
    "no such subset": {"subset": ("test", "challenge")},
    "classes": {"classes": (TREE, BALL)},
    "classes and all images": {"classes": (STARFISH,), "select": "all"},
    "labelled": {"classes": (STARFISH,), "select": "labelled"},
    "one source": {"box_sources": ("xclick",)},
    "two sources": {"box_sources": ("activemil", "freeform")},
    "confidence": {"min_confidence": "0.7"},
    "full confidence": {"min_confidence": "1", "select": "all"},
    "group of": {"exclude_flags": ("group_of",)},
    "depiction": {"exclude_flags": ("depiction",)},
    "inside": {"exclude_flags": ("inside",)},
    "several flags": {"exclude_flags": ("group_of", "depiction", "truncated")},
    "side": {"min_box_side": "0.25"},
    "most images": {"max_images": 5},
    "more images than there are": {"max_images": 10_000},
    "sample": {"sample": 0.5},
    "sample and most images": {"sample": 0.5, "max_images": 4},
    "image list": {"image_ids": ...},
    "no image": {"image_ids": ()},
    "all at once": {
        "classes": (TREE, BALL, TOY_KITE),
        "box_sources": ("xclick", "freeform"),
        "min_box_side": "0.15",
        "exclude_flags": ("depiction",),
        "sample": 0.9,
        "min_confidence": "0.6",
        "max_images": 6,
        "select": "labelled",
    },
}


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("case", CASES)
def test_a_filter_leaves_what_a_reading_row_by_row_leaves(
    case: str, split: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    values = dict(CASES[case])
    if values.get("image_ids") is ...:
        values["image_ids"] = ids_of(sample, split)[2::3]
    wanted = Wanted(**values)
    expected = read_by_row(sample, split, wanted)
    done = run(sample, tmp_path / "out", *wanted.flags(tmp_path), split=split)
    assert done.code == 0, done.err
    assert read_records(tmp_path / "out", split) == expected.images
    check_counts(done.manifest(split), expected, wanted)


def given_reasons(wanted: Wanted, table: str) -> list[str]:
    of_boxes = {
        "box_source": wanted.box_sources,
        "excluded_flag": wanted.exclude_flags,
        "small_box": wanted.min_box_side != "0",
    }
    given = {
        "not_in_image_list": wanted.image_ids is not None,
        "not_sampled": wanted.sample != 1,
        "other_subset": wanted.subset,
        "over_max_images": wanted.max_images,
        "class_not_chosen": table != "metadata" and wanted.classes,
        "low_confidence": table in ("boxes", "machine_labels") and wanted.min_confidence != "0",
        **(of_boxes if table == "boxes" else {}),
    }
    return [reason for reason, is_given in given.items() if is_given]


def check_counts(manifest: dict[str, Any], expected: Expected, wanted: Wanted) -> None:
    assert manifest["balanced"] is True
    assert manifest["images"]["selected"] == len(expected.images)
    assert manifest["tables"].keys() == TABLES.keys()
    for table, count in manifest["tables"].items():
        assert count["rejected"] == {}
        found = {reason: n for reason, n in count["dropped"].items() if n}
        # A filter that is given has its count, if it left nothing out.
        zeros = {reason for reason, n in count["dropped"].items() if not n}
        assert zeros == set(given_reasons(wanted, table)) - found.keys()
        assert {reason: n for reason, n in found.items() if reason in OF_IMAGES} == expected.unselected[table]
        dropped = {reason: n for reason, n in found.items() if reason not in OF_IMAGES}
        # A row that fails several filters is counted for one of them.
        assert sum(dropped.values()) == expected.removed[table]
        assert all(n <= expected.failing[table][reason] for reason, n in dropped.items())
        if len(expected.failing[table]) == 1:
            assert dropped == expected.failing[table]
    boxes, labels = (sum(len(image[place]) for image in expected.images.values()) for place in (0, 1))
    assert manifest["tables"]["boxes"]["written"] == boxes
    assert manifest["tables"]["human_labels"]["written"] == labels


@pytest.fixture(scope="module")
def mixed(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The sample with images of two subsets in one table: every third of the train images is of `validation`."""
    data = tmp_path_factory.mktemp("mixed")
    shutil.copytree(sample / "2017_11", data / "2017_11")
    os.symlink(sample / "images", data / "images")
    path = data / "2017_11" / "train" / TABLES["metadata"]
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    for row in rows[1::3]:
        row[header.index("Subset")] = "validation"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return data


MIXED_CASES = {
    "one": {"subset": ("train",)},
    "the other, all images": {"subset": ("validation",), "select": "all"},
    "both": {"subset": ("train", "validation")},
    "sample": {"subset": ("train",), "sample": 0.6},
    "most images": {"subset": ("train",), "max_images": 5},
    "just as many images": {"subset": ("validation",), "max_images": 16, "select": "all"},
    "sample and most images": {"subset": ("train",), "sample": 0.7, "max_images": 4, "select": "labelled"},
    "boxes": {"subset": ("train",), "classes": (TREE, BALL), "box_sources": ("xclick",), "max_images": 3},
}


@pytest.mark.parametrize("case", MIXED_CASES)
def test_rows_of_images_of_other_subsets_and_beyond_the_limit_are_counted_apart(
    case: str, mixed: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    wanted = Wanted(**MIXED_CASES[case])
    expected = read_by_row(mixed, "train", wanted)
    done = run(mixed, tmp_path / "out", *wanted.flags(tmp_path), "--extra_keys=machine_labels,attribution")
    assert done.code == 0, done.err
    assert read_records(tmp_path / "out", "train") == expected.images
    check_counts(done.manifest(), expected, wanted)


def test_the_mixed_cases_tell_the_reasons_apart(mixed: pathlib.Path) -> None:
    found = {case: read_by_row(mixed, "train", Wanted(**values)).unselected for case, values in MIXED_CASES.items()}
    for case, by_table in found.items():
        for table in ("metadata", "human_labels"):
            assert (by_table[table]["other_subset"] > 0) is (case != "both"), (case, table)
            assert (by_table[table]["over_max_images"] > 0) is ("most images" in case or case == "boxes"), (case, table)
    assert found["one"]["boxes"]["image_not_selected"] == 0
    assert found["one"]["human_labels"]["image_not_selected"] > 0


@pytest.mark.parametrize("case", CASES)
def test_the_cases_leave_something_out_and_something_in(case: str, sample: pathlib.Path) -> None:
    values = dict(CASES[case])
    if values.get("image_ids") is ...:
        values["image_ids"] = ids_of(sample)[2::3]
    wanted = Wanted(**values)
    left, whole = (
        [read_by_row(sample, split, chosen).images for split in ("train", "validation")]
        for chosen in (wanted, Wanted(select=wanted.select))
    )
    # Only machine labels have a confidence between 0 and 1, and nothing in the sample is an inside.
    keeps_all = ("nothing", "more images than there are", "confidence", "full confidence", "inside")
    assert (left == whole) is (case in keeps_all)
    assert any(left) is (case not in ("no image", "no such subset"))


@pytest.mark.parametrize("case", ["sample", "most images", "sample and most images", "all at once"])
@pytest.mark.parametrize(("num_shards", "workers"), [(1, 1), (7, 1), (4, 2)])
def test_images_are_the_same_for_any_number_of_shards_and_workers(
    case: str, num_shards: int, workers: int, sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wanted = Wanted(**CASES[case])
    flags = [
        "--config=v3", "--split=train", f"--data_dir={sample / '2017_11'}", f"--output_dir={tmp_path / 'out'}",
        f"--images={sample}/images/train/{{image_id}}.jpg", f"--num_shards={num_shards}", f"--workers={workers}",
    ]  # fmt: skip
    done = small_release.run_command([*flags, *wanted.flags(tmp_path)])
    assert done.returncode == 0, done.stderr
    assert read_records(tmp_path / "out", "train") == read_by_row(sample, "train", wanted).images


@pytest.mark.parametrize("count", [1, 3, 20])
def test_exactly_so_many_images_are_selected_and_fewer_are_part_of_more(
    count: int, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    flags = [f"--classes={TREE},{BALL}", "--sample=0.95"]
    some = run(sample, tmp_path / "some", f"--max_images={count}", *flags)
    more = run(sample, tmp_path / "more", f"--max_images={count + 1}", *flags)
    assert some.manifest()["images"]["selected"] == count
    assert more.manifest()["images"]["selected"] == count + 1
    assert read_records(tmp_path / "some", "train").items() <= read_records(tmp_path / "more", "train").items()


def test_a_sample_of_half_is_part_of_a_larger_one_and_always_the_same(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    found = {}
    for name, share in (("half", 0.5), ("again", 0.5), ("more", 0.8), ("all", 1.0)):
        assert run(sample, tmp_path / name, f"--sample={share}").code == 0
        found[name] = read_records(tmp_path / name, "train")
    assert small_release.shards(tmp_path / "half") == small_release.shards(tmp_path / "again")
    assert set(found["half"]) < set(found["more"]) < set(found["all"])


@pytest.mark.parametrize("given", ["mids", "names", "file of mids", "file of names"])
def test_classes_may_be_given_as_mids_or_names_in_the_command_or_a_file(
    given: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    named = ["tree", " Ball "] if "names" in given else [TREE, BALL]
    value = ",".join(named)
    if given.startswith("file"):
        value = str(tmp_path / "wanted.txt")
        pathlib.Path(value).write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*named, ""]).encode())
    assert run(sample, tmp_path / "out", f"--classes={value}").code == 0
    assert read_records(tmp_path / "out", "train") == read_by_row(sample, "train", Wanted(classes=(TREE, BALL))).images
    label_map = (tmp_path / "out" / "label_map.pbtxt").read_text()
    # Ids count from 1 in the order of the class list, in which Tree comes before Ball.
    assert label_map.count("item {") == 2
    assert label_map.index(f'name: "{TREE}"\n  id: 1') < label_map.index(f'name: "{BALL}"\n  id: 2')


def test_a_name_that_several_classes_of_the_list_share_is_an_error_that_lists_their_mids(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    done = run(sample, tmp_path / "out", "--classes=Kite", "--class_list=classes.txt")
    assert done.code == 1
    assert TOY_KITE in done.err
    assert BIRD_KITE in done.err
    assert run(sample, tmp_path / "out", f"--classes={BIRD_KITE}", "--class_list=classes.txt", "--select=all").code == 0


def test_a_name_that_is_shared_only_outside_of_the_class_list_is_not_ambiguous(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    """The bird has no boxes, so nobody who asks for boxes of kites means it."""
    assert run(sample, tmp_path / "out", "--classes=kite").code == 0
    expected = read_by_row(sample, "train", Wanted(classes=(TOY_KITE,)))
    assert read_records(tmp_path / "out", "train") == expected.images


@pytest.mark.parametrize("name", ["Hammer", "/m/03l9g", "Cloud"])
def test_a_class_outside_of_the_list_is_not_called_unknown(
    name: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    done = run(sample, tmp_path / "out", f"--classes={name}")
    assert done.code == 1
    assert f"classes: '{name}' is not in the class list" in done.err
    assert "--class_list" in done.err


def test_an_unknown_class_is_an_error_with_the_nearest_name(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    done = run(sample, tmp_path / "out", "--classes=Trea")
    assert done.code == 1
    assert "no class 'Trea'" in done.err
    assert "tree" in done.err.casefold()


def test_a_folder_with_the_name_of_a_class_is_no_file_of_classes(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Tree").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(sample, tmp_path / "out", "--classes=Tree").code == 0
    assert read_records(tmp_path / "out", "train") == read_by_row(sample, "train", Wanted(classes=(TREE,))).images


@pytest.mark.parametrize("flag", ["classes", "image_ids"])
def test_another_content_of_a_list_is_another_conversion(
    flag: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    first, second = ([TREE], [BALL]) if flag == "classes" else (ids_of(sample)[:8], ids_of(sample)[8:16])
    path = tmp_path / "list.txt"
    path.write_text("\n".join(first))
    assert run(sample, tmp_path / "out", f"--{flag}={path}").code == 0
    assert "Nothing to do" in run(sample, tmp_path / "out", f"--{flag}={path}").out
    path.write_text("\n".join(second))
    refused = run(sample, tmp_path / "out", f"--{flag}={path}")
    assert refused.code == 1
    assert "--overwrite" in refused.err


@pytest.mark.parametrize("wrong", ["0000000000000000x", "not an id", "04DBBAA3763CD275"])
def test_a_line_that_is_no_image_id_is_named(
    wrong: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(["ImageID", *ids_of(sample)[:3], wrong]))
    done = run(sample, tmp_path / "out", f"--image_ids={path}")
    assert done.code == 1
    assert f"{path}, line 5: {wrong!r}" in done.err


def test_a_list_that_is_not_there_is_an_error_of_the_flag(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    done = run(sample, tmp_path / "out", f"--image_ids={tmp_path / 'ids.txt'}")
    assert done.code == 1
    assert done.err.startswith("error: image_ids:")


def test_a_filter_in_the_manifest_is_as_it_was_given(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    run(sample, tmp_path / "out", "--sample=0.75", "--min_box_side=0.1", f"--classes={TREE}", "--max_images=9")
    config = run(sample, tmp_path / "out", "--sample=0.75", "--min_box_side=0.1", f"--classes={TREE}", "--max_images=9")
    assert "Nothing to do" in config.out
    stored = config.manifest()["config"]
    assert [stored[name] for name in ("sample", "min_box_side", "classes", "max_images")] == [0.75, 0.1, [TREE], 9]


@pytest.mark.parametrize(
    ("flag", "table", "column"), [("subset=train", "metadata", "Subset"), ("box_sources=xclick", "boxes", "Source")]
)
def test_a_filter_by_a_column_that_is_not_there_is_an_error(
    flag: str, table: str, column: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    shutil.copytree(sample / "2017_11", tmp_path / "2017_11")
    path = tmp_path / "2017_11" / "train" / TABLES[table]
    path.write_text(path.read_text().replace(f",{column},", ",Renamed,", 1))
    done = run(tmp_path, tmp_path / "out", f"--{flag}")
    assert done.code == 1
    assert f"no column {column} in {path}" in done.err


def test_flags_that_the_boxes_do_not_have_are_warned_of(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    train = run(sample, tmp_path / "train", "--exclude_flags=group_of")
    assert (train.code, "IsGroupOf" in train.err) == (0, True)
    validation = run(sample, tmp_path / "validation", "--exclude_flags=group_of", split="validation")
    assert (validation.code, "IsGroupOf" in validation.err) == (0, False)


def warnings_of(done: Converted, *starts: str) -> list[str]:
    """Returns the warnings of the manifest that start so, which the command also prints."""
    warnings = [line for line in done.manifest()["warnings"] if line.startswith(starts or ("--", "not one record"))]
    printed = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert printed == [f"warning: {warning}" for warning in done.manifest()["warnings"]]
    return warnings


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_subset_that_is_misspelled_is_warned_of_and_so_is_that_nothing_is_left(
    dry_run: bool, mixed: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    folder = tmp_path / "out"
    done = run(mixed, folder, "--subset=trian", *(["--dry_run"] if dry_run else []))
    assert done.code == 0
    rows = [row["Subset"] for row in read_rows(mixed / "2017_11" / "train" / "images.csv")]
    count = Counter(rows)
    assert (count["train"], count["validation"], len(rows)) == (32, 16, 48)
    done = dataclasses.replace(done, output_dir=folder / "dry_run" if dry_run else folder)
    misspelled, nothing = warnings_of(done)
    assert misspelled == (
        "--subset=trian: no row of metadata has it as Subset; did you mean 'train'? "
        "There are 'train' (32 rows), 'validation' (16 rows)"
    )
    tables = done.manifest()["tables"]
    most = max(tables, key=lambda name: max(tables[name]["dropped"].values()))
    reason, dropped = max(tables[most]["dropped"].items(), key=lambda item: item[1])
    assert nothing.startswith(
        f"not one record, though {sum(table['rows_read'] for table in tables.values()):,} rows were read; "
        f"most of them, by reason: {reason} {dropped:,} of {most} (--"
    )
    assert f"other_subset {tables['boxes']['dropped']['other_subset']:,} of boxes (--subset)" in nothing


def test_a_source_of_which_there_is_no_box_is_warned_of(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    """Also if another filter leaves out the rows of those that there are."""
    count = Counter(row["Source"] for row in read_rows(sample / "2017_11" / "train" / TABLES["boxes"]))
    flags = ["--box_sources=xclck,xclick", f"--classes={TREE}", "--sample=0.5"]
    [warning] = warnings_of(run(sample, tmp_path / "out", *flags))
    there = ", ".join(f"'{source}' ({n:,} rows)" for source, n in sorted(count.items(), key=lambda x: (-x[1], x[0])))
    assert warning == (
        f"--box_sources=xclck: no row of boxes has it as Source; did you mean 'xclick'? There are {there}"
    )


def test_a_class_without_a_box_is_warned_of(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    done = run(sample, tmp_path / "out", f"--classes={TREE},{BIRD_KITE}", "--class_list=classes.txt")
    assert warnings_of(done) == [f"--classes: no row of boxes is of 1 of the 2 classes: Kite ({BIRD_KITE})"]


def test_image_ids_that_no_table_has_are_warned_of(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    """An ImageID whose image another filter leaves out is there."""
    path = tmp_path / "ids.txt"
    path.write_text("\n".join([*ids_of(sample)[:10], "00000000000000ff", "fffffffffffffff0", "fffffffffffffff1"]))
    flags = [f"--image_ids={path}", "--max_images=2", "--box_sources=xclick"]
    assert warnings_of(run(sample, tmp_path / "out", *flags)) == ["--image_ids: 3 of 13 ImageIDs are in no table"]


def test_filters_that_find_what_they_name_are_not_warned_of(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(ids_of(sample)[::2]))
    flags = ["--subset=train", "--box_sources=xclick", f"--classes={TREE},{BALL}", f"--image_ids={tmp_path}/ids.txt"]
    assert warnings_of(run(sample, tmp_path / "out", *flags)) == []


def test_verify_takes_the_counts_of_0(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run(sample, tmp_path / "out", "--subset=train", "--max_images=1000", "--min_box_side=0.000001")
    for table, reasons in {
        "metadata": ("other_subset", "over_max_images"),
        "boxes": ("other_subset", "over_max_images", "small_box"),
    }.items():
        assert {reason: done.manifest()["tables"][table]["dropped"].get(reason) for reason in reasons} == dict.fromkeys(
            reasons, 0
        )
    assert main(["verify", str(tmp_path / "out")]) == 0, capfd.readouterr().out


def test_no_filter_hides_a_faulty_row(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    """Whatever a filter leaves out, a fault that its row shows by itself is found."""
    data = tmp_path / "data"
    shutil.copytree(sample / "2017_11", data / "2017_11")
    os.symlink(sample / "images", data / "images")
    own = ids_of(sample)[0]
    for name, rows in {
        "annotations-human-bbox.csv": [
            f"{own},xclick,{TREE},1,0.5,0.4,0.1,0.2",
            f"{own},xclick,{TREE},1,0.1,1.5,0.1,0.2",
            f"{own},xclick,/m/nothing,1,0.1,0.2,0.1,0.2",
            f"{own},xclick,{TREE},2,0.1,0.2,0.1,0.2",
            f"{own},xclick",
            f"{own[:-1]}x,xclick,{TREE},1,0.1,0.2,0.1,0.2",
        ],
        "annotations-human.csv": [f"{own},verification,{TREE},-1"],
        "images.csv": ["not,a,row"],
    }.items():
        with (data / "2017_11" / "train" / name).open("a") as file:
            file.write("".join(row + "\n" for row in rows))
    other = [image_id for image_id in ids_of(sample) if sample_hash(image_id) < sample_hash(own)]
    (tmp_path / "ids.txt").write_text("\n".join(other))
    plain = run(data, tmp_path / "plain", "--max_rejects=100%").rejects()
    assert len(plain) == 8
    for number, flags in enumerate(
        [
            [f"--sample={sample_hash(own) / 2**64}"],
            [f"--image_ids={tmp_path / 'ids.txt'}"],
            ["--subset=test"],
            [f"--classes={STARFISH}", "--box_sources=activemil", "--min_box_side=0.3", "--min_confidence=1"],
            [f"--max_images={len(other) // 2}"],
        ]
    ):
        done = run(data, tmp_path / str(number), "--max_rejects=100%", *flags)
        assert done.code == 0, done.err
        assert done.rejects() == plain, flags
        assert done.manifest()["balanced"] is True


def test_a_repeated_row_that_passes_the_filters_is_still_found(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample / "2017_11", data / "2017_11")
    os.symlink(sample / "images", data / "images")
    path = data / "2017_11" / "train" / TABLES["boxes"]
    lines = path.read_text().splitlines()
    again = next(line for line in lines if f",{TREE}," in line)
    path.write_text("\n".join([*lines, again, ""]))
    done = run(data, tmp_path / "out", f"--classes={TREE}", "--max_rejects=100%")
    assert len(done.rejects()) == 1
    assert done.manifest()["tables"]["boxes"]["rejected"] == {"duplicate": 1}
    assert done.manifest()["balanced"] is True
