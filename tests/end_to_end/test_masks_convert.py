"""Whole conversions with segmentation masks, read back by TensorFlow and by the Object Detection API."""

import csv
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.storage.files import use_options
from tests.support import mask_release, small_release
from tests.support.mask_release import MaskRelease, nearest, pack_by_first_digit
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.mirror import Fault, Mirror
from tests.support.optional import tensorflow as tf
from tests.support.small_release import convert

Decoded = dict[str, tuple[list[bytes], list[np.ndarray], list[float] | None]]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> MaskRelease:
    return mask_release.write_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def plain(release: MaskRelease, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The release, converted with its defaults."""
    folder = tmp_path_factory.mktemp("plain")
    assert convert(release.flags(folder)) == 0
    return folder


@pytest.fixture(scope="module")
def kept(release: MaskRelease, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The release, converted with boxes that have no mask."""
    folder = tmp_path_factory.mktemp("kept")
    assert convert(release.flags(folder, boxes_without_mask="empty")) == 0
    return folder


def manifest_of(folder: pathlib.Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())["splits"]["train"]
    assert manifest["balanced"] is True
    return manifest


def decoded(folder: pathlib.Path) -> Decoded:
    """Returns, by ImageID, the classes, the masks as Model Garden decodes them, and the weights.

    Model Garden (official/vision/dataloaders/tf_example_decoder.py) takes decode_png with one channel as it is.
    """
    records: Decoded = {}
    for record in small_release.records(folder):
        features = tf.train.Example.FromString(record).features.feature
        size = [features["image/height"].int64_list.value[0], features["image/width"].int64_list.value[0]]
        masks = [
            tf.io.decode_png(png, channels=1, dtype=tf.uint8).numpy()[..., 0]
            for png in features["image/object/mask"].bytes_list.value
        ]
        assert all(list(mask.shape) == size and mask.max() <= 1 for mask in masks)
        weights = None
        if "image/object/mask/weight" in features:
            weights = list(features["image/object/mask/weight"].float_list.value)
        classes = list(features["image/object/class/text"].bytes_list.value)
        lengths = {len(features[f"image/object/{key}"].float_list.value) for key in ("bbox/xmin", "area")}
        assert lengths == {len(classes)} == {len(masks)}
        records[features["image/source_id"].bytes_list.value[0].decode()] = classes, masks, weights
    return records


def test_boxes_with_masks_and_nothing_else_are_written(release: MaskRelease, plain: pathlib.Path) -> None:
    records = decoded(plain)
    for image_id, boxes in release.boxes.items():
        expected = [(row[2].encode(), release.masks.get((image_id, place))) for place, row in enumerate(boxes)]
        expected = [(mid, mask) for mid, mask in expected if mask is not None]
        classes, masks, weights = records.get(image_id, ([], [], None))
        assert classes == [mid for mid, _ in expected]
        assert weights is None
        for mask, (_, drawn) in zip(masks, expected, strict=True):
            np.testing.assert_array_equal(mask, drawn)


def test_every_mask_row_is_accounted_for(release: MaskRelease, plain: pathlib.Path) -> None:
    manifest = manifest_of(plain)
    count = manifest["tables"]["masks"]
    rows = (release.folder / "train-annotations-object-segmentation.csv").read_text().splitlines()
    assert count["rows_read"] == len(rows) - 1
    assert count["written"] == len(release.masks)
    assert count["rejected"] == release.rejected
    assert count["dropped"] == {}
    boxes = manifest["tables"]["boxes"]
    assert boxes["written"] == len(release.masks)
    assert boxes["dropped"] == {"no_mask": sum(map(len, release.boxes.values())) - len(release.masks)}
    assert sum(item["boxes"] for item in manifest["classes"]) == len(release.masks)


def test_each_reject_names_its_row(release: MaskRelease, plain: pathlib.Path) -> None:
    lines = (release.folder / "train-annotations-object-segmentation.csv").read_text().splitlines()
    with (plain / "rejects-train.csv").open(newline="") as stream:
        rejects = [row for row in csv.DictReader(stream) if row["Table"] == "masks"]
    assert len(rejects) == sum(release.rejected.values())
    for row in rejects:
        assert row["ImageID"] in lines[int(row["Line"]) - 1]
        if row["Reason"] == "image_missing":
            assert lines[int(row["Line"]) - 1].split(",")[0] in row["Detail"]


def test_boxes_without_a_mask_can_be_kept(release: MaskRelease, kept: pathlib.Path) -> None:
    records = decoded(kept)
    assert records.keys() == release.boxes.keys()
    for image_id, boxes in release.boxes.items():
        classes, masks, weights = records[image_id]
        assert classes == [row[2].encode() for row in boxes]
        drawn = [release.masks.get((image_id, place)) for place in range(len(boxes))]
        assert weights == [float(mask is not None) for mask in drawn]
        for found, mask in zip(masks, drawn, strict=True):
            np.testing.assert_array_equal(found, np.zeros_like(found) if mask is None else mask)
    manifest = manifest_of(kept)
    assert manifest["tables"]["masks"]["written"] == len(release.masks)
    assert manifest["tables"]["masks"]["rejected"] == release.rejected
    assert manifest["tables"]["boxes"]["dropped"] == {}


def test_the_object_detection_api_reads_the_drawn_masks(
    release: MaskRelease,
    plain: pathlib.Path,
    kept: pathlib.Path,
    od_read: Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]],
) -> None:
    shards = [shard for folder in (plain, kept) for shard in sorted(folder.glob("train.tfrecord-*"))]
    records, _ = od_read(plain / "label_map.pbtxt", shards, "--masks")
    seen = {plain: 0, kept: 0}
    for record in records:
        folder = pathlib.Path(record["path"]).parent
        height, width = record["stored_height"], record["stored_width"]
        boxes = release.boxes[record["source_id"]]
        drawn = [release.masks.get((record["source_id"], place)) for place in range(len(boxes))]
        if folder == plain:
            drawn = [mask for mask in drawn if mask is not None]
        pixels = [np.zeros((height, width), bool) if mask is None else mask for mask in drawn]
        assert record["groundtruth_instance_masks"] == [
            {"shape": [height, width], "sha256": hashlib.sha256(mask.astype(np.uint8).tobytes()).hexdigest()}
            for mask in pixels
        ]
        assert record["groundtruth_instance_mask_weights"] == [float(mask is not None) for mask in drawn]
        assert len(record["groundtruth_boxes"]) == len(drawn)
        seen[folder] += len(drawn)
    assert seen == {plain: len(release.masks), kept: sum(map(len, release.boxes.values()))}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_masks_in_archives(release: MaskRelease, plain: pathlib.Path, kind: str, tmp_path: pathlib.Path) -> None:
    others = {"ReadMe.txt": b"not a mask", "ffffffffffffffff_m0_0.png": b"of no row"}
    archives = pack_by_first_digit(release.files() | others, tmp_path, kind)
    assert convert(release.flags(tmp_path / "out", mask_files=None, mask_archives=archives)) == 0
    assert small_release.shards(tmp_path / "out") == small_release.shards(plain)
    tables = manifest_of(tmp_path / "out")["tables"]
    assert tables["masks"] == manifest_of(plain)["tables"]["masks"]
    # Six of the masks cannot be read or used. Of no row that has a box are the one of no row, that of the row whose
    # coordinates are off, and the second one of a box.
    assert tables["mask_files"]["rows_read"] == len(release.files()) + 1
    assert tables["mask_files"]["written"] == len(release.masks)
    assert tables["mask_files"]["rejected"] == {"image_rejected": 6}
    assert tables["mask_files"]["dropped"] == {"mask_not_selected": 3}


def test_a_mask_twice_in_the_archives(release: MaskRelease, plain: pathlib.Path, tmp_path: pathlib.Path) -> None:
    archives = pack_by_first_digit(release.files(), tmp_path, "zip")
    other = tmp_path / "other"
    other.mkdir()
    name = next(name for name, data in release.files().items() if len(data) > 100)
    again = pack_by_first_digit({name: release.files()[name]}, other, "tar")
    flags = release.flags(tmp_path / "out", mask_files=None, mask_archives=f"{archives},{again}")
    assert convert(flags) == 0
    assert small_release.shards(tmp_path / "out") == small_release.shards(plain)
    files = manifest_of(tmp_path / "out")["tables"]["mask_files"]
    assert files["dropped"]["repeated"] == 1
    assert "duplicate" not in files["rejected"]


def test_masks_on_a_remote_filesystem(release: MaskRelease, plain: pathlib.Path, tmp_path: pathlib.Path) -> None:
    MemoryFileSystem.files.clear()
    MemoryFileSystem.files |= {f"memory://bucket/{name[0]}/{name}": data for name, data in release.files().items()}
    use_options([])
    flags = release.flags(tmp_path, mask_files="memory://bucket/{digit}/{mask_path}")
    assert convert(flags) == 0
    MemoryFileSystem.files.clear()
    assert small_release.shards(tmp_path) == small_release.shards(plain)


def test_bytes_depend_neither_on_workers_nor_on_shards(
    release: MaskRelease, plain: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    done = small_release.run_command(release.flags(tmp_path / "workers", workers=4))
    assert done.returncode == 0, done.stderr
    assert small_release.shards(tmp_path / "workers") == small_release.shards(plain)
    assert (tmp_path / "workers" / "rejects-train.csv").read_bytes() == (plain / "rejects-train.csv").read_bytes()
    assert convert(release.flags(tmp_path / "shards", num_shards=1)) == 0
    assert list(small_release.records(tmp_path / "shards")) == list(small_release.records(plain))
    assert manifest_of(tmp_path / "shards")["tables"] == manifest_of(plain)["tables"]


def test_small_ranges_change_nothing(
    release: MaskRelease, plain: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oi_tfrecord.join.batches.MAX_BATCH_BYTES", 200)
    assert convert(release.flags(tmp_path)) == 0
    assert small_release.shards(tmp_path) == small_release.shards(plain)


def test_without_request_the_table_is_not_even_looked_for(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    flags = {"extra_keys": None, "mask_files": None}
    assert convert(release.flags(tmp_path / "with", **flags)) == 0
    manifest = manifest_of(tmp_path / "with")
    assert "masks" not in manifest["tables"]
    assert not [item for item in manifest["inputs"] if item["table"] == "masks"]
    assert not [line for line in manifest["warnings"] if "mask" in line]
    for record in small_release.records(tmp_path / "with"):
        assert not [key for key in tf.train.Example.FromString(record).features.feature if "mask" in key]
    # Nor does a file without its columns matter.
    assert convert(release.flags(tmp_path / "other", masks="train-annotations-bbox.csv", **flags)) == 0
    assert small_release.shards(tmp_path / "other") == small_release.shards(tmp_path / "with")


def test_filters_of_boxes_leave_out_their_masks(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    assert convert(release.flags(tmp_path, min_box_side=0.5)) == 0
    manifest = manifest_of(tmp_path)
    count = manifest["tables"]["masks"]
    small = [
        key
        for key in release.masks
        if min(float(b) - float(a) for a, b in _sides(release.boxes[key[0]][key[1]])) < 0.5 - 1e-6
    ]
    assert 0 < len(small) < len(release.masks)
    assert count["written"] == len(release.masks) - len(small)
    # The count has the row without a box, too, as nothing distinguishes that row, and the faulty rows of small boxes.
    assert count["dropped"]["box_left_out"] > len(small)
    assert "mask_without_box" not in count["rejected"]


def _sides(box: list[str]) -> list[tuple[str, str]]:
    return [(box[4], box[5]), (box[6], box[7])]


def test_filters_of_classes_and_images_are_those_of_the_mask_rows(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    mid = mask_release.MIDS[0]
    assert convert(release.flags(tmp_path, classes=mid, sample=0.5)) == 0
    count = manifest_of(tmp_path)["tables"]["masks"]
    assert count["dropped"]["class_not_chosen"] > 0
    assert count["dropped"]["not_sampled"] > 0
    kept = [key for key in release.masks if key[0] in decoded(tmp_path) and release.boxes[key[0]][key[1]][2] == mid]
    assert count["written"] == len(kept) > 0


def test_a_box_that_the_hierarchy_adds_has_the_mask_of_its_origin(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    parent, child, other = mask_release.MIDS
    tree = {"LabelName": "/m/0bl9f", "Subcategory": [{"LabelName": parent, "Subcategory": [{"LabelName": child}]}]}
    tree["Subcategory"].append({"LabelName": other})
    (tmp_path / "tree.json").write_text(json.dumps(tree))
    flags = {"hierarchy": tmp_path / "tree.json", "select": "all"}
    for rule in ("drop", "empty"):
        folder = tmp_path / rule
        assert convert(release.flags(folder, boxes_without_mask=rule, **flags)) == 0
        records = decoded(folder)
        for image_id, boxes in release.boxes.items():
            expected = []
            for place, row in enumerate(boxes):
                mask = release.masks.get((image_id, place))
                if mask is not None or rule == "empty":
                    expected += [(mid, mask) for mid in ([child, parent] if row[2] == child else [row[2]])]
            classes, masks, _ = records[image_id]
            assert [mid.decode() for mid in classes] == [mid for mid, _ in expected]
            for found, (_, mask) in zip(masks, expected, strict=True):
                np.testing.assert_array_equal(found, np.zeros_like(found) if mask is None else mask)
        count = manifest_of(folder)["tables"]["masks"]
        assert (count["written"], count["rejected"]) == (len(release.masks), release.rejected)
        # The broken mask of a box counts once, whatever follows from that box.
        assert manifest_of(folder)["tables"]["boxes"]["dropped"] == (
            {"no_mask": sum(map(len, release.boxes.values())) - len(release.masks)} if rule == "drop" else {}
        )


def test_max_images_counts_images_that_keep_a_box(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    assert convert(release.flags(tmp_path, max_images=4)) == 0
    assert len(decoded(tmp_path)) == 4


def test_an_image_without_any_mask_is_not_selected(tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "data", faults=False)
    path = release.folder / "train-annotations-object-segmentation.csv"
    lines = path.read_text().splitlines(keepends=True)
    bare = next(iter(release.boxes))
    path.write_text("".join(line for line in lines if f",{bare}," not in line))
    assert convert(release.flags(tmp_path / "boxed")) == 0
    assert decoded(tmp_path / "boxed").keys() == release.boxes.keys() - {bare}
    assert convert(release.flags(tmp_path / "all", select="all")) == 0
    assert decoded(tmp_path / "all")[bare] == ([], [], None)


def test_a_rejected_image_takes_its_masks_along(tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "data", faults=False)
    lost = next(iter(release.boxes))
    (release.folder / "images" / f"{lost}.jpg").unlink()
    archives = pack_by_first_digit(release.files(), tmp_path, "zip")
    assert convert(release.flags(tmp_path / "out", mask_files=None, mask_archives=archives)) == 0
    tables = manifest_of(tmp_path / "out")["tables"]
    own = len([key for key in release.masks if key[0] == lost])
    for table in ("masks", "mask_files"):
        assert tables[table]["rejected"] == {"image_rejected": own}
        assert tables[table]["written"] == len(release.masks) - own


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_masks_are_turned_and_scaled_with_their_image(angle: int, tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "data", faults=False)
    path = release.folder / "train-images-boxable-with-rotation.csv"
    path.write_text(path.read_text().replace(",0.0\n", f",{angle}.0\n"))
    flags = {"rotation": "apply", "image_mode": "resize", "max_side": 24}
    assert convert(release.flags(tmp_path / "out", **flags)) == 0
    records = decoded(tmp_path / "out")
    assert records.keys() == release.boxes.keys()
    for image_id, boxes in release.boxes.items():
        drawn = [release.drawn[image_id, place] for place in range(len(boxes)) if (image_id, place) in release.drawn]
        for found, mask in zip(records[image_id][1], drawn, strict=True):
            assert max(found.shape) <= 24
            np.testing.assert_array_equal(found, nearest(np.rot90(mask, angle // 90), *found.shape[::-1]))


@pytest.mark.parametrize("folder", ["plain", "kept"])
def test_verify_finds_no_fault(folder: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(request.getfixturevalue(folder))]) == 0, capsys.readouterr()


def test_a_dry_run_reads_no_mask(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    flags = release.flags(tmp_path, dry_run="true", mask_files="/nowhere/{mask_path}")
    assert convert(flags) == 0
    count = manifest_of(tmp_path / "dry_run")["tables"]["masks"]
    unread = {
        "image_missing",
        "image_broken",
        "image_cut_off",
        "image_empty",
        "not_an_image",
        "mask_empty",
        "mask_other_shape",
    }
    assert count["rejected"] == {key: n for key, n in release.rejected.items() if key not in unread}
    assert count["written"] == len(release.masks) + len(unread)


def test_of_the_boxes_without_a_mask_only_groups_are_kept(tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "release", images=3, faults=False)
    table = release.folder / "train-annotations-bbox.csv"
    header, *rows = list(csv.reader(table.open(newline="")))
    group_of = header.index("IsGroupOf")
    for row in rows[::2]:
        row[group_of] = "1"
    with table.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    blank = next(path for path in sorted((release.folder / "masks").iterdir()))
    blank.write_bytes(mask_release.png_of(np.zeros((30, 30), bool)))
    expected = {}
    for image_id in release.boxes:
        places = [row for row in rows if row[0] == image_id]
        masks = [(image_id, place) in release.masks for place in range(len(places))]
        expected[image_id] = [
            (row[group_of], has_mask)
            for row, has_mask in zip(places, masks, strict=True)
            if has_mask or row[group_of] == "1"
        ]
    blank_id = next(
        row
        for row in csv.DictReader((release.folder / "train-annotations-object-segmentation.csv").open())
        if row["MaskPath"] == blank.name
    )
    assert convert(release.flags(tmp_path / "out", boxes_without_mask="groups", max_rejects="100%")) == 0
    for image_id, (classes, masks, weights) in decoded(tmp_path / "out").items():
        if image_id == blank_id["ImageID"]:
            continue
        assert weights == [float(has_mask) for _, has_mask in expected[image_id]]
        assert [bool(mask.any()) for mask in masks] == [has_mask for _, has_mask in expected[image_id]]
        assert len(classes) == len(expected[image_id])
    assert len(decoded(tmp_path / "out")) == 3


def features_of(folder: pathlib.Path) -> list[Any]:
    return [tf.train.Example.FromString(record).features.feature for record in small_release.records(folder)]


def test_box_ids_and_predicted_iou_are_kept_and_filtered_on(tmp_path: pathlib.Path) -> None:
    release = mask_release.write_release(tmp_path / "release", images=3, faults=False)
    table = release.folder / "train-annotations-object-segmentation.csv"
    with table.open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    iou, box_id = header.index("PredictedIoU"), header.index("BoxID")
    for number, row in enumerate(rows):
        row[iou] = ("", "0.25", "0.75")[number % 3]
    rows[4][iou] = "1.5"
    with table.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    flags = {"extra_keys": "masks,box_id,predicted_iou", "max_rejects": "100%"}
    assert convert(release.flags(tmp_path / "all", **flags)) == 0
    assert manifest_of(tmp_path / "all")["tables"]["masks"]["rejected"] == {"bad_predicted_iou": 1}
    written = {
        name.decode(): value
        for features in features_of(tmp_path / "all")
        for name, value in zip(
            features["image/object/box_id"].bytes_list.value,
            features["image/object/predicted_iou"].float_list.value,
            strict=True,
        )
    }
    good = [row for row in rows if row[iou] != "1.5"]
    assert written == {row[box_id]: float(row[iou] or -1) for row in good}

    assert convert(release.flags(tmp_path / "sure", min_predicted_iou=0.5, **flags)) == 0
    ids = {
        name.decode()
        for features in features_of(tmp_path / "sure")
        for name in features["image/object/box_id"].bytes_list.value
    }
    assert ids == {row[box_id] for row in good if row[iou] != "0.25"}
    low = sum(row[iou] == "0.25" for row in good)
    assert manifest_of(tmp_path / "sure")["tables"]["masks"]["dropped"] == {"low_predicted_iou": low}

    (tmp_path / "ids.txt").write_text(f"BoxID\n{rows[0][box_id]}\n{rows[2][box_id]}\n")
    assert convert(release.flags(tmp_path / "listed", box_ids=tmp_path / "ids.txt", **flags)) == 0
    ids = {
        name.decode()
        for features in features_of(tmp_path / "listed")
        for name in features["image/object/box_id"].bytes_list.value
    }
    assert ids == {rows[0][box_id], rows[2][box_id]}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"extra_keys": None}, "mask_files: is given, but records hold no masks; add --extra_keys=masks"),
        ({"mask_files": None}, "mask_files: gives the PNG files, or mask_archives does; give one of the two"),
        ({"mask_archives": "x.zip"}, "mask_files: gives the PNG files, or mask_archives does; give one of the two"),
        ({"mask_files": "masks/{image_id}.png"}, "mask_files: .* has no {mask_path}"),
        ({"config": "v4"}, "masks: is needed with --extra_keys=masks; give --masks"),
        ({"task": "classification"}, "extra_keys: masks belong to boxes, which task=classification leaves out"),
        ({"boxes_without_mask": "keep"}, "boxes_without_mask: 'keep' is none of drop, empty, groups"),
        (
            {"extra_keys": "box_id", "mask_files": None},
            "extra_keys: box_id belongs to masks; give --extra_keys=masks,box",
        ),
        (
            {"extra_keys": None, "mask_files": None, "min_predicted_iou": 0.5},
            "min_predicted_iou: filters masks, but records hold none; add --extra_keys=masks",
        ),
        ({"mask_files": None, "mask_archives": "/nowhere/*.zip"}, "mask_archives: no file matches /nowhere"),
    ],
)
def test_flags_that_do_not_fit(release: MaskRelease, flags: dict, message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=message):
        convert(release.flags(tmp_path, **flags))


def test_a_missing_table_of_masks_is_an_error_if_asked_for(release: MaskRelease, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"no file for masks; looked for .*none\.csv"):
        convert(release.flags(tmp_path, masks="none.csv"))


@pytest.mark.parametrize("missing_images", ["reject", "skip"])
def test_masks_and_images_of_a_server_are_as_those_of_a_disk_that_lacks_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, missing_images: str
) -> None:
    release = mask_release.write_release(tmp_path / "release")
    image_id, *_ = {image_id for image_id, _ in release.masks}
    (release.folder / "images" / f"{image_id}.jpg").unlink()
    mask = next(path for path in sorted((release.folder / "masks").iterdir()) if image_id not in path.name)
    mask.unlink()
    flags = {"missing_images": missing_images}
    local = convert(release.flags(tmp_path / "local", **flags))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirror() as mirror:
        for folder in ("images", "masks"):
            for path in (release.folder / folder).iterdir():
                mirror.files[f"/{folder}/{path.name}"] = path.read_bytes()
        # The server fails now and then.
        for path in [path for path in mirror.files if path.startswith("/masks/")][::4]:
            mirror.faults[path] = [Fault(503), Fault(sent=20)]
        places = {"images": mirror.url + "/images/{image_id}.jpg", "mask_files": mirror.url + "/masks/{mask_path}"}
        assert convert(release.flags(tmp_path / "web", **flags, **places)) == local
        assert mirror.gets()[f"/masks/{mask.name}"] == 1
    tables = [manifest_of(tmp_path / name)["tables"] for name in ("local", "web")]
    assert tables[0] == tables[1]
    images = manifest_of(tmp_path / "web")["images"]
    assert images.get("skipped", {}) == ({"image_missing": 1} if missing_images == "skip" else {})
    assert small_release.shards(tmp_path / "web") == small_release.shards(tmp_path / "local") != {}
