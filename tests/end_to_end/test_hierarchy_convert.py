"""Whole conversions with a hierarchy, against a reading of the sample that goes row by row."""

import json
import pathlib
from collections import Counter
from collections.abc import Callable

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.openimages.hierarchy import parse_hierarchy
from oi_tfrecord.records.example_reader import parse_example
from tests.conftest import DATA, Converted
from tests.support import mask_release, small_release
from tests.support.api_expansion import expand_with_the_api
from tests.support.dataset_rows import read_list, read_rows

TREE, CHRISTMAS_TREE, BALL, KITE = "/m/07j7r", "/m/025nd", "/m/018xm", "/m/02zt3"
# A ball is a toy as a kite is; there is no class for toys, so its parent is the kite here.
HIERARCHY = {
    "LabelName": "/m/0bl9f",
    "Subcategory": [
        {"LabelName": TREE, "Subcategory": [{"LabelName": CHRISTMAS_TREE}]},
        {"LabelName": KITE, "Subcategory": [{"LabelName": BALL}]},
    ],
}
PARENT = {CHRISTMAS_TREE: TREE, BALL: KITE}
CHILD = {TREE: CHRISTMAS_TREE, KITE: BALL}
Run = Callable[..., Converted]


@pytest.fixture
def flags(tmp_path: pathlib.Path) -> list[str]:
    path = tmp_path / "hierarchy.json"
    path.write_text(json.dumps(HIERARCHY))
    return [f"--hierarchy={path}", "--select=all"]


def read(output_dir: pathlib.Path) -> dict[str, tuple[Counter, Counter]]:
    """ImageID to its (boxes, image labels), each a Counter of (MID, rest)."""
    records = {}
    for shard in find_splits(str(output_dir), ["train"])["train"].shards:
        for _, data in read_shard(shard):
            example = parse_example(data)
            sides = zip(*(example[f"image/object/bbox/{side}"] for side in ("xmin", "ymin")), strict=True)
            boxes = Counter(
                (mid.decode(), f"{x:.6f}", f"{y:.6f}")
                for mid, (x, y) in zip(example["image/object/class/text"], sides, strict=True)
            )
            confidences = map(float, example["image/class/confidence"])
            texts = (mid.decode() for mid in example["image/class/text"])
            labels = Counter(zip(texts, confidences, strict=True))
            records[example["image/source_id"][0].decode()] = boxes, labels
    return records


def test_boxes_and_labels_are_expanded(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str]
) -> None:
    assert run(sample, tmp_path / "plain", "--select=all").code == 0
    done = run(sample, tmp_path / "out", *flags)
    assert done.code == 0, done.err
    plain, expanded = read(tmp_path / "plain"), read(tmp_path / "out")
    assert plain.keys() == expanded.keys()
    added_boxes = added_labels = conflicts = 0
    for image_id, (boxes, labels) in plain.items():
        expected = Counter(boxes)
        for mid, x, y in boxes:
            if (parent := PARENT.get(mid)) and (parent, x, y) not in boxes:
                expected[parent, x, y] += boxes[mid, x, y]
        assert expanded[image_id][0] == expected
        added_boxes += expected.total() - boxes.total()

        present = {mid for mid, confidence in labels if confidence}
        present |= {PARENT[mid] for mid in present if mid in PARENT}
        absent = {mid for mid, confidence in labels if not confidence}
        wanted = {(mid, 1.0) for mid in present}
        wanted |= {(mid, 0.0) for mid in absent | {CHILD[mid] for mid in absent if mid in CHILD} if mid not in present}
        assert set(expanded[image_id][1]) == wanted
        conflicts += sum(count for (mid, confidence), count in labels.items() if not confidence and mid in present)
        kept = sum(count for (mid, confidence), count in labels.items() if confidence or mid not in present)
        added_labels += expanded[image_id][1].total() - kept
    assert added_boxes > 0
    assert added_labels > 0

    manifest = done.manifest()
    tables = manifest["tables"]
    assert manifest["balanced"] is True
    assert [tables[table]["added_by_hierarchy"] for table in ("boxes", "human_labels")] == [added_boxes, added_labels]
    assert tables["human_labels"]["dropped"].get("present_by_hierarchy", 0) == conflicts
    assert main(["verify", str(tmp_path / "out")]) == 0
    in_records = Counter(mid for boxes, _ in expanded.values() for mid, *_ in boxes.elements())
    assert {item["mid"]: item["boxes"] for item in manifest["classes"] if item["boxes"]} == in_records


def test_a_child_that_is_present_beats_a_parent_that_is_absent(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str]
) -> None:
    rows = read_rows(sample / "2017_11" / "train" / "annotations-human.csv")
    assert rows
    import shutil

    data = tmp_path / "data"
    shutil.copytree(sample, data)
    path = data / "2017_11" / "train" / "annotations-human.csv"
    annotated = {(row["ImageID"], row["LabelName"]) for row in rows}
    image_id = next(
        row["ImageID"]
        for row in rows
        if {(row["ImageID"], mid) for mid in (TREE, CHRISTMAS_TREE)}.isdisjoint(annotated)
    )
    with path.open("a") as file:
        file.write(f"{image_id},verification,{TREE},0\n{image_id},verification,{CHRISTMAS_TREE},1\n")
    done = run(data, tmp_path / "out", *flags)
    assert done.code == 0, done.err
    labels = read(tmp_path / "out")[image_id][1]
    assert labels[TREE, 1.0] == labels[CHRISTMAS_TREE, 1.0] == 1
    assert (TREE, 0.0) not in labels
    counted = done.manifest()["tables"]["human_labels"]
    assert counted["dropped"]["present_by_hierarchy"] >= 1
    assert counted["balanced"] is True


@pytest.mark.parametrize("order", ["list", "frequency"])
def test_relatives_may_be_named_in_the_label_map_instead(
    order: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str]
) -> None:
    assert run(sample, tmp_path / "plain", "--select=all", f"--label_order={order}").code == 0
    done = run(sample, tmp_path / "out", *flags, "--hierarchy_use=label_map", f"--label_order={order}")
    assert done.code == 0, done.err
    assert [path.read_bytes() for path in done.shards()] == [
        path.read_bytes() for path in sorted((tmp_path / "plain").glob("train.tfrecord-*"))
    ]
    label_map = read_label_map(str(tmp_path / "out"))
    assert label_map is not None
    ids = label_map.id_of
    related = {item.name: (item.ancestor_ids, item.descendant_ids) for item in label_map.items}
    assert {mid: value for mid, value in related.items() if any(value)} == {
        TREE: ((), (ids[CHRISTMAS_TREE],)),
        CHRISTMAS_TREE: ((ids[TREE],), ()),
        KITE: ((), (ids[BALL],)),
        BALL: ((ids[KITE],), ()),
    }


def test_expanded_shards_are_the_same_for_any_number_of_workers(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str]
) -> None:
    one = run(sample, tmp_path / "one", *flags)
    two = run(sample, tmp_path / "two", *flags, "--workers=2", "--csv_block_mb=1")
    assert (one.code, two.code) == (0, 0)
    assert [path.read_bytes() for path in one.shards()] == [path.read_bytes() for path in two.shards()]


def test_another_hierarchy_is_another_conversion(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str]
) -> None:
    assert run(sample, tmp_path / "out", *flags).code == 0
    assert "Nothing to do" in run(sample, tmp_path / "out", *flags).out
    path = tmp_path / "hierarchy.json"
    path.write_text(json.dumps({"LabelName": "/m/0bl9f", "Subcategory": []}))
    refused = run(sample, tmp_path / "out", *flags)
    assert (refused.code, "--overwrite" in refused.err) == (1, True)
    path.write_text("{")
    broken = run(sample, tmp_path / "broken", *flags)
    assert (broken.code, str(path) in broken.err) == (1, True)


def test_the_manifest_has_the_boxes_of_the_fullest_image_before_and_after_the_expansion(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    done = run(sample, tmp_path / "out", *flags, "--hierarchy_use=label_map", "--label_order=frequency")
    assert done.code == 0, done.err
    mids = [[mid for mid, *_ in boxes.elements()] for boxes, _ in read(tmp_path / "out").values()]
    before = max(map(len, mids))
    after = max(len(own) + sum(mid in PARENT for mid in own) for own in mids)
    assert after > before
    counts = ("most_boxes_in_an_image", "most_boxes_after_expansion")
    assert [done.manifest()["totals"][name] for name in counts] == [before, after]

    assert main(["resample", str(tmp_path / "out"), "--split=train", f"--to={tmp_path / 'copy'}", "--fraction=1"]) == 0
    assert main(["merge", str(tmp_path / "out"), f"--to={tmp_path / 'merged'}"]) == 0
    for folder in ("copy", "merged"):
        manifest = json.loads((tmp_path / folder / "manifest.json").read_text())
        assert [manifest["splits"]["train"]["totals"][name] for name in counts] == [before, after]

    assert main(["training-config", str(tmp_path / "out"), "--model=ssd", "--eval=train"]) == 0
    assert capfd.readouterr().out.count(f"max_number_of_boxes: {after}\n") == 2
    assert main(["verify", str(tmp_path / "out")]) == 0
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace(f'"{counts[1]}": {after}', f'"{counts[1]}": {before}'))
    capfd.readouterr()
    assert main(["verify", str(tmp_path / "out")]) == 1
    assert counts[1] in capfd.readouterr().out


REAL = DATA / "real"
V3 = REAL / "v3_official"
PERSON, ANIMAL, VEHICLE = "/m/01g317", "/m/0jbk", "/m/07yv9"


@pytest.mark.skipif(not V3.is_dir(), reason=f"the real V3 rows are absent ({V3})")
@pytest.mark.parametrize("chosen", [(), (PERSON, ANIMAL, VEHICLE)])
def test_real_rows_count_as_the_api_expands_them(chosen: tuple[str, ...], tmp_path: pathlib.Path, run: Run) -> None:
    """The shipped configuration of V3 on its real train rows; a dry run joins and counts without images."""
    hierarchy = REAL / "bbox_labels_600_hierarchy.json"
    classes = [f"--classes={','.join(chosen)}"] if chosen else []
    flags = (f"--hierarchy={hierarchy.absolute()}", "--dry_run", "--select=all", "--num_shards=1", *classes)
    done = run(V3, tmp_path / "out", f"--data_dir={V3}", f"--images={REAL}/images/{{image_id}}.jpg", *flags)
    assert done.code == 0, done.err
    counted = json.loads((tmp_path / "out" / "dry_run" / "manifest.json").read_bytes())["splits"]["train"]
    assert counted["balanced"] is True

    known = set(parse_hierarchy(hierarchy.read_bytes(), "").ancestors)
    written = set(chosen or read_list(V3 / "classes" / "2017_11" / "classes-bbox-trainable.txt"))
    images = {row["ImageID"] for row in read_rows(V3 / "images" / "2017_11" / "train" / "images.csv")}

    def expand(folder: str, kind: int) -> list[dict[str, str]]:
        table = V3 / f"annotations_{folder}" / "2017_11" / "train" / f"annotations-{folder.replace('_', '-')}.csv"
        rows = [row for row in read_rows(table) if row["ImageID"] in images and row["LabelName"] in known | written]
        of_tree = [row for row in rows if row["LabelName"] in known]
        expanded = expand_with_the_api(of_tree, kind, hierarchy, tmp_path)
        return [row for row in [*expanded, *(row for row in rows if row not in of_tree)] if row["LabelName"] in written]

    sides = ("XMin", "XMax", "YMin", "YMax")
    boxes = {(row["ImageID"], row["LabelName"], *(row[side] for side in sides)) for row in expand("human_bbox", 1)}
    labels = {(row["ImageID"], row["LabelName"], row["Confidence"]) for row in expand("human", 2)}
    present = {label[:2] for label in labels if label[2] == "1"}
    absent = {label[:2] for label in labels if label[2] == "0"} - present
    assert len(boxes) > (100 if chosen else 1000)
    for name, expected in (("boxes", boxes), ("positive_labels", present), ("negative_labels", absent)):
        theirs = Counter(item[1] for item in expected)
        assert {item["mid"]: item[name] for item in counted["classes"] if item[name]} == theirs


@pytest.mark.parametrize("masks", ["drop", "empty"])
def test_boxes_that_are_added_for_a_chosen_class_have_the_masks_of_subclasses(
    masks: str, tmp_path: pathlib.Path
) -> None:
    release = mask_release.write_release(tmp_path / "release")
    person, clothing, dog = mask_release.MIDS
    below = {"LabelName": clothing, "Subcategory": [{"LabelName": dog}]}
    path = tmp_path / "hierarchy.json"
    path.write_text(json.dumps({"LabelName": "/m/0", "Subcategory": [{"LabelName": person, "Subcategory": [below]}]}))
    found = {}
    for classes in (None, f"{person},{clothing}", person):
        folder = tmp_path / str(classes).replace("/", "")
        flags = release.flags(folder, hierarchy=path, classes=classes, boxes_without_mask=masks)
        assert small_release.convert(flags) == 0
        assert main(["verify", str(folder)]) == 0
        entry = json.loads((folder / "manifest.json").read_bytes())["splits"]["train"]
        assert entry["balanced"] is True
        found[classes] = Counter(
            (example["image/source_id"][0], text, mask, float(ymin))
            for record in small_release.records(folder)
            for example in [parse_example(record)]
            for text, mask, ymin in zip(
                example["image/object/class/text"],
                example["image/object/mask"],
                example["image/object/bbox/ymin"],
                strict=True,
            )
        )
    everything = found.pop(None)
    assert everything
    for classes, boxes in found.items():
        names = classes.encode().split(b",")
        assert boxes == Counter({key: count for key, count in everything.items() if key[1] in names})


def test_a_mask_of_a_box_that_its_added_copy_repeats_is_left_out(tmp_path: pathlib.Path) -> None:
    """Two boxes at one place, one of the class and one of its subclass: the copy of the second is the first."""
    release = mask_release.write_release(tmp_path / "release", faults=False)
    person, clothing, _ = mask_release.MIDS
    path = tmp_path / "hierarchy.json"
    tree = {"LabelName": person, "Subcategory": [{"LabelName": clothing}]}
    path.write_text(json.dumps({"LabelName": "/m/0", "Subcategory": [tree]}))
    masked = next(key for key in release.masks if release.boxes[key[0]][key[1]][2] == person)
    box = release.boxes[masked[0]][masked[1]]
    with (release.folder / "train-annotations-bbox.csv").open("a") as file:
        file.write(",".join([*box[:2], clothing, *box[3:]]) + "\n")
    masks = release.folder / "train-annotations-object-segmentation.csv"
    row = next(row for row in read_rows(masks) if row["ImageID"] == box[0] and row["LabelName"] == person)
    own = {"MaskPath": "copy.png", "LabelName": clothing}
    for name, side in zip(("BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax"), box[4:8], strict=True):
        own[name] = f"{float(side):.6f}"
    with masks.open("a") as file:
        file.write(",".join((row | own).values()) + "\n")
    (release.folder / "masks" / "copy.png").write_bytes((release.folder / "masks" / row["MaskPath"]).read_bytes())
    assert small_release.convert(release.flags(tmp_path / "out", hierarchy=path, classes=person)) == 0
    entry = json.loads((tmp_path / "out" / "manifest.json").read_bytes())["splits"]["train"]
    assert entry["balanced"] is True
    assert entry["tables"]["masks"]["dropped"]["class_not_chosen"] >= 1
    assert entry["tables"]["masks"]["rejected"] == {}
    assert main(["verify", str(tmp_path / "out")]) == 0


def test_a_hierarchy_that_adds_nothing_is_warned_of(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    path = tmp_path / "hierarchy.json"
    path.write_text(json.dumps({"LabelName": "/m/0", "Subcategory": [{"LabelName": TREE}]}))
    done = run(sample, tmp_path / "out", f"--hierarchy={path}")
    assert "--hierarchy added no box and no label" in done.err
    assert "0 added by the hierarchy" in done.out
    named = run(sample, tmp_path / "named", f"--hierarchy={path}", "--hierarchy_use=label_map")
    assert "names no relatives" in named.err


def test_a_label_map_that_lacks_subclasses_is_warned_of(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run, flags: list[str]
) -> None:
    done = run(sample, tmp_path / "out", *flags, "--hierarchy_use=label_map", f"--classes={TREE},{KITE},{BALL}")
    assert f"1 subclasses of the classes are not in the label map ({CHRISTMAS_TREE})" in done.err
