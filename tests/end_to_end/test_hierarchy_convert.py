"""Whole conversions with a hierarchy, against a reading of the sample that goes row by row."""

import json
import pathlib
from collections import Counter
from collections.abc import Callable

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.records.example_reader import parse_example
from tests.conftest import Converted
from tests.support.dataset_rows import read_rows

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
