import base64
import collections
import csv
import hashlib
import io
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.demo import pictures
from oi_tfrecord.openimages.demo import release as sample
from oi_tfrecord.openimages.demo.layouts import FOLDERS, has_masks
from oi_tfrecord.openimages.demo.scenes import extents, render
from oi_tfrecord.openimages.release_headers import RELEASES

REAL = pathlib.Path(__file__).parents[4] / "shared" / "data" / "real"
SEED = 20171116
SPLITS = {"train": 48, "validation": 12}
SPLIT_FILES = ("images.csv", "annotations-human-bbox.csv", "annotations-human.csv", "annotations-machine.csv")
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the published Open Images files are not beside the repo")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, sample.SampleSummary]:
    root = tmp_path_factory.mktemp("sample") / "data"
    return root, sample.generate(root, seed=SEED)


@pytest.fixture(scope="module")
def root(made: tuple[pathlib.Path, sample.SampleSummary]) -> pathlib.Path:
    return made[0]


def rows_of(root: pathlib.Path, split: str, name: str) -> list[dict[str, str]]:
    with (root / "2017_11" / split / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


def names_of(root: pathlib.Path) -> dict[str, str]:
    with (root / "2017_11" / "class-descriptions.csv").open(encoding="utf-8", newline="") as lines:
        return dict(csv.reader(lines, strict=True))


def list_of(root: pathlib.Path, name: str) -> list[str]:
    return (root / "2017_11" / name).read_text(encoding="utf-8").splitlines()


def contents(root: pathlib.Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_files_are_those_of_the_release_and_the_summary_counts_them(
    made: tuple[pathlib.Path, sample.SampleSummary],
) -> None:
    root, summary = made
    lists = ("class-descriptions.csv", "classes.txt", "classes-trainable.txt", "classes-bbox.txt")
    expected = {f"2017_11/{name}" for name in (*lists, "classes-bbox-trainable.txt")}
    for split, count in SPLITS.items():
        expected |= {f"2017_11/{split}/{name}" for name in SPLIT_FILES}
        expected |= {f"images/{split}/{row['ImageID']}.jpg" for row in rows_of(root, split, "images.csv")}
        assert len(rows_of(root, split, "images.csv")) == count
        for name in SPLIT_FILES:
            assert summary.rows[f"2017_11/{split}/{name}"] == len(rows_of(root, split, name)) > 0
    assert set(contents(root)) == expected
    assert set(summary.rows) == {path for path in expected if path.startswith("2017_11")}
    assert summary.images == SPLITS
    for name in (*lists[1:], "classes-bbox-trainable.txt"):
        assert summary.rows[f"2017_11/{name}"] == len(list_of(root, name))
    assert summary.rows["2017_11/class-descriptions.csv"] == len(names_of(root))


def test_image_ids_are_sorted_unique_hex_and_every_annotation_has_its_image(root: pathlib.Path) -> None:
    all_ids: list[str] = []
    for split in SPLITS:
        images = rows_of(root, split, "images.csv")
        ids = [row["ImageID"] for row in images]
        assert ids == sorted(ids)
        assert all(re.fullmatch("[0-9a-f]{16}", image_id) for image_id in ids)
        assert {row["Subset"] for row in images} == {split}
        all_ids += ids
        for name in SPLIT_FILES[1:]:
            annotated = [row["ImageID"] for row in rows_of(root, split, name)]
            assert annotated == sorted(annotated)
            assert set(annotated) <= set(ids)
    assert len(set(all_ids)) == len(all_ids)


def test_size_and_md5_are_those_of_the_jpeg(root: pathlib.Path) -> None:
    for split in SPLITS:
        for row in rows_of(root, split, "images.csv"):
            data = (root / "images" / split / f"{row['ImageID']}.jpg").read_bytes()
            assert int(row["OriginalSize"]) == len(data)
            assert base64.b64decode(row["OriginalMD5"], validate=True) == hashlib.md5(data).digest()


def test_pictures_are_jpegs_and_one_is_grayscale(root: pathlib.Path) -> None:
    modes: collections.Counter[str] = collections.Counter()
    for path in (root / "images").rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
            assert image.format == "JPEG"
            modes[image.mode] += 1
    assert modes == {"RGB": sum(SPLITS.values()) - 1, "L": 1}


def test_boxes_lie_in_the_picture_and_have_an_area(root: pathlib.Path) -> None:
    for split in SPLITS:
        for row in rows_of(root, split, "annotations-human-bbox.csv"):
            edges = [row[name] for name in ("XMin", "XMax", "YMin", "YMax")]
            assert all(re.fullmatch(r"[01]\.\d{6}", edge) for edge in edges)
            xmin, xmax, ymin, ymax = map(float, edges)
            assert 0 <= xmin < xmax <= 1
            assert 0 <= ymin < ymax <= 1
            assert row["Confidence"] == "1"


def test_boxes_are_the_extents_of_the_objects(root: pathlib.Path) -> None:
    for split, count in SPLITS.items():
        boxes = collections.defaultdict(list)
        for row in rows_of(root, split, "annotations-human-bbox.csv"):
            boxes[row["ImageID"]].append(row)
        for index in range(count):
            picture = pictures.draw_picture(split, index, SEED)
            with Image.open(root / "images" / split / f"{picture.image_id}.jpg") as image:
                width, height = image.size
            scale = {"XMin": width, "XMax": width, "YMin": height, "YMax": height}
            written = [
                (row["LabelName"], *(float(row[edge]) * side for edge, side in scale.items()))
                for row in boxes[picture.image_id]
            ]
            drawn = [
                (thing.mid, extent.xmin, extent.xmax, extent.ymin, extent.ymax)
                for thing, extent in zip(picture.scene.objects, extents(picture.scene), strict=True)
            ]
            for got, wanted in zip(sorted(written), sorted(drawn), strict=True):
                assert got[0] == wanted[0]
                # Six decimals of at most 400 pixels.
                assert got[1:] == pytest.approx(wanted[1:], rel=0, abs=400 * 5e-7)


def test_a_written_jpeg_differs_from_one_without_an_object_only_in_its_box(root: pathlib.Path) -> None:
    checked = 0
    for index in range(12):
        picture = pictures.draw_picture("train", index, SEED)
        with Image.open(root / "images" / "train" / f"{picture.image_id}.jpg") as image:
            pixels = np.asarray(image)
        for i, extent in enumerate(extents(picture.scene) if pixels.ndim == 3 else []):
            with Image.open(io.BytesIO(pictures.encode_jpeg(render(picture.scene, leave_out=i)))) as image:
                differs = (pixels != np.asarray(image)).any(axis=2)
            # A JPEG block is 8 x 8 pixels and, without chroma subsampling, depends on no other.
            rows = slice(extent.ymin // 8 * 8, -(-extent.ymax // 8) * 8)
            columns = slice(extent.xmin // 8 * 8, -(-extent.xmax // 8) * 8)
            inside = differs[rows, columns]
            # A tip of a pixel or two may be lost in its block, but not more than that block.
            for edge in (inside[:16], inside[-16:], inside[:, :16], inside[:, -16:]):
                assert edge.any()
            differs[rows, columns] = False
            assert not differs.any()
            checked += 1
    assert checked


def test_only_validation_boxes_have_flags_and_each_kind_occurs(root: pathlib.Path) -> None:
    flags = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction")
    assert not set(flags) & set(rows_of(root, "train", "annotations-human-bbox.csv")[0])
    boxes = rows_of(root, "validation", "annotations-human-bbox.csv")
    for flag in flags:
        assert {row[flag] for row in boxes} == {"0", "1"}
    assert {row["IsInside"] for row in boxes} == {"0"}
    for row in boxes:
        if row["IsTruncated"] == "1":
            assert {row["XMin"], row["YMin"]} & {"0.000000"} or {row["XMax"], row["YMax"]} & {"1.000000"}


def test_some_pictures_have_no_boxes_and_some_no_thumbnail(root: pathlib.Path) -> None:
    for split in SPLITS:
        images = rows_of(root, split, "images.csv")
        boxed = {row["ImageID"] for row in rows_of(root, split, "annotations-human-bbox.csv")}
        assert 0 < len(boxed) < len(images)
        assert 0 < sum(row["Thumbnail300KURL"] == "" for row in images) < len(images)


def test_labels_are_clean_and_verified_ones_agree_with_what_is_drawn(root: pathlib.Path) -> None:
    known = set(list_of(root, "classes.txt"))
    for split in SPLITS:
        drawn = collections.defaultdict(set)
        for row in rows_of(root, split, "annotations-human-bbox.csv"):
            drawn[row["ImageID"]].add(row["LabelName"])
        human = rows_of(root, split, "annotations-human.csv")
        verdicts = {(row["ImageID"], row["LabelName"]): row["Confidence"] for row in human}
        assert len(verdicts) == len(human)
        assert set(verdicts.values()) == {"0", "1"}
        assert {row["Source"] for row in human} == {"verification", "crowdsource-verification"}
        for image_id, mids in drawn.items():
            assert {verdicts[image_id, mid] for mid in mids} == {"1"}
            # A Christmas tree is a tree.
            assert "/m/025nd" not in mids or verdicts.get((image_id, "/m/07j7r"), "1") == "1"
        machine = rows_of(root, split, "annotations-machine.csv")
        assert len({(row["ImageID"], row["LabelName"]) for row in machine}) == len(machine)
        assert {row["Source"] for row in machine} == {"machine"}
        assert all(re.fullmatch(r"0\.[5-9]|1\.0", row["Confidence"]) for row in machine)
        assert {row["LabelName"] for row in (*human, *machine)} <= known
        assert set().union(*drawn.values()) <= set(list_of(root, "classes-bbox.txt"))


def test_class_lists_nest_as_published(root: pathlib.Path) -> None:
    classes, trainable = list_of(root, "classes.txt"), list_of(root, "classes-trainable.txt")
    boxable, both = list_of(root, "classes-bbox.txt"), list_of(root, "classes-bbox-trainable.txt")
    assert set(names_of(root)) == set(classes)
    assert set(both) == set(boxable) & set(trainable) != set(boxable)
    assert set(boxable) | set(trainable) < set(classes)
    for members in (classes, trainable, boxable, both):
        assert len(set(members)) == len(members)


def test_hard_text_is_there(root: pathlib.Path) -> None:
    names = names_of(root).values()
    for mark in (",", '"', "'"):
        assert any(mark in name for name in names)
    assert not all(name.isascii() for name in names)
    assert len(set(names)) < len(names)
    raw = (root / "2017_11" / "class-descriptions.csv").read_bytes()
    assert 0 < raw.count(b"\r\n") < raw.count(b"\n")
    assert raw.endswith(b"\n")
    for split in SPLITS:
        images = rows_of(root, split, "images.csv")
        for mark in ("\n", ",", '"'):
            assert any(mark in row["Title"] for row in images)
        assert not all(row["Title"].isascii() for row in images)
        assert any("," in row["Author"] for row in images)
        for name in SPLIT_FILES:
            assert b"\r" not in (root / "2017_11" / split / name).read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: pathlib.Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample.generate(tmp_path / name, train_images=6, validation_images=4, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    images = [{data for path, data in contents(tmp_path / name).items() if path.endswith(".jpg")} for name in "ac"]
    assert not images[0] & images[1]


def test_a_larger_sample_holds_the_pictures_of_a_smaller_one(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    sample.generate(tmp_path, train_images=3, validation_images=2)
    small = {path: data for path, data in contents(tmp_path).items() if path.endswith(".jpg")}
    assert len(small) == 5
    assert small.items() <= contents(root).items()


@pytest.mark.parametrize("field", ["train_images", "validation_images", "seed"])
def test_refuses_a_count_that_is_too_small(field: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError) as caught:
        sample.generate(tmp_path, **{field: -1})
    assert caught.value.field == field
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("taken", ["2017_11", "images"])
def test_refuses_to_write_over_a_dataset(taken: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / taken).mkdir()
    with pytest.raises(ConfigError, match=taken) as caught:
        sample.generate(tmp_path)
    assert caught.value.field == "output_dir"


@needs_real
def test_headers_and_quoting_are_the_published_ones(root: pathlib.Path) -> None:
    folders = ("images", "annotations_human_bbox", "annotations_human", "annotations_machine")
    for split in SPLITS:
        for folder, name in zip(folders, SPLIT_FILES, strict=True):
            real = (REAL / "v3_official" / folder / "2017_11" / split / name).read_bytes()
            assert (root / "2017_11" / split / name).read_bytes().split(b"\n")[0] == real.split(b"\n")[0]
    field = r'(?:"(?:[^"]|"")*"|[^",\n]*)'
    for base in (root, REAL / "v3_official" / "images"):
        text = (base / "2017_11" / "train" / "images.csv").read_text(encoding="utf-8")
        for row in re.findall(rf"(?:{field},){{10}}{field}\n", text)[1:]:
            quoted = [cell.startswith('"') for cell in re.findall(rf"({field})(?:,|\n)", row)]
            assert quoted == [number in (6, 7) for number in range(11)]


@needs_real
def test_classes_are_the_published_ones(root: pathlib.Path) -> None:
    published = REAL / "v3_official" / "classes"
    assert names_of(root).items() <= names_of(published).items()
    ours = set(list_of(root, "classes.txt"))
    boxable = set(list_of(root, "classes-bbox.txt"))
    assert set(list_of(root, "classes-trainable.txt")) == ours & set(list_of(published, "classes-trainable.txt"))
    assert boxable == ours & set(list_of(published, "classes-bbox.txt"))
    assert set(list_of(root, "classes-bbox-trainable.txt")) == boxable & set(
        list_of(published, "classes-bbox-trainable.txt")
    )
    for name in ("classes.txt", "classes-trainable.txt", "classes-bbox.txt"):
        here = list_of(root, name)
        assert here == [mid for mid in list_of(published, name) if mid in set(here)]


@needs_real
def test_a_christmas_tree_is_a_tree_in_the_published_hierarchy() -> None:
    def children(node: dict, mid: str) -> list[str]:
        below = node.get("Subcategory", [])
        found = [child["LabelName"] for child in below] if node["LabelName"] == mid else []
        return found + [name for child in below for name in children(child, mid)]

    hierarchy = json.loads((REAL / "bbox_labels_600_hierarchy.json").read_text(encoding="utf-8"))
    for child, parent in pictures.PARENTS.items():
        assert child in children(hierarchy, parent)


@pytest.mark.parametrize("release", RELEASES)
def test_the_pictures_are_the_same_in_each_release(release: str, root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    summary = sample.generate(tmp_path, release=release, train_images=2, validation_images=2, seed=SEED)
    masks = {"masks"} if has_masks(release) else set()
    assert {path.name for path in tmp_path.iterdir()} == {FOLDERS[release], "images"} | masks
    made = {path: data for path, data in contents(tmp_path).items() if not path.startswith("masks/")}
    jpegs = {path: data for path, data in made.items() if path.endswith(".jpg")}
    assert len(jpegs) == 4
    assert jpegs.items() <= contents(root).items()
    assert set(summary.rows) == set(made) - set(jpegs)
    for path, count in summary.rows.items():
        with (tmp_path / path).open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines, strict=True))
        assert count == len(rows) - (rows[0][0] in ("ImageID", "LabelName", "MaskPath"))


def test_an_unknown_release_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'v4'") as caught:
        sample.generate(tmp_path, release="V4")
    assert caught.value.field == "release"
    assert not list(tmp_path.iterdir())
