import csv
import os
import pathlib
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.join.expand_hierarchy import Expansion, expand_boxes, expand_labels
from oi_tfrecord.join.join_shard import Annotations
from oi_tfrecord.openimages.hierarchy import Hierarchy, parse_hierarchy
from oi_tfrecord.openimages.schema import BOX_ROW, LABEL_ROW
from tests.conftest import DATA
from tests.support.optional import peer_python

# Two classes above /c, one of which is above the other; /e is outside of the label map.
MIDS = ("/a", "/b", "/c", "/d", "/e")
LABEL_IDS = np.array([3, 1, 2, 4, 0])
HIERARCHY = Hierarchy(
    {"/a": frozenset(), "/b": frozenset({"/a"}), "/c": frozenset({"/a", "/b", "/e"}), "/x": frozenset({"/a"})},
    {"/a": frozenset({"/b", "/c"}), "/b": frozenset({"/c"}), "/c": frozenset()},
)
EXPANSION = Expansion.of(HIERARCHY, MIDS, LABEL_IDS)
# By label map id: /b is 1, /c is 2, /a is 3.
UP = {0: [], 1: [0], 2: [1, 0], 3: []}
DOWN = {0: [1, 2], 1: [2], 2: [], 3: []}


def annotations(dtype: np.dtype, images: list[list[dict]]) -> Annotations:
    rows = np.zeros(sum(map(len, images)), dtype)
    for place, row in enumerate(row for image in images for row in image):
        rows["line"][place] = place
        for name, value in row.items():
            rows[name][place] = value
    return Annotations(rows, np.cumsum([0, *map(len, images)]), ())


def rows_by_image(result: Annotations, *names: str) -> list[list[tuple]]:
    assert result.added is not None
    rows = [
        (*(row[name].item() for name in names), bool(added))
        for row, added in zip(result.rows, result.added, strict=True)
    ]
    return [rows[start:end] for start, end in zip(result.offsets[:-1], result.offsets[1:], strict=True)]


labels = st.fixed_dictionaries({"label": st.integers(0, 3), "confidence": st.sampled_from([0.0, 1.0])})
boxes = st.fixed_dictionaries({"label": st.integers(0, 3), "xmin": st.sampled_from([0.0, 0.25])})


@given(images=st.lists(st.lists(boxes, max_size=6), max_size=4))
def test_boxes_are_expanded_as_row_by_row(images: list[list[dict]]) -> None:
    expected = []
    for image in images:
        taken = {(box["label"], box["xmin"]) for box in image}
        rows = []
        for box in image:
            rows.append((box["label"], box["xmin"], False))
            for code in UP[box["label"]]:
                if (code, box["xmin"]) not in taken:
                    taken.add((code, box["xmin"]))
                    rows.append((code, box["xmin"], True))
        expected.append(rows)
    assert rows_by_image(expand_boxes(annotations(BOX_ROW, images), EXPANSION), "label", "xmin") == expected


@given(images=st.lists(st.lists(labels, max_size=6), max_size=4))
def test_labels_are_expanded_as_row_by_row(images: list[list[dict]]) -> None:
    expected = []
    conflicts = 0
    for image in images:
        present = {code for row in image if row["confidence"] for code in [row["label"], *UP[row["label"]]]}
        annotated = {(row["label"], row["confidence"]) for row in image}
        rows = []
        for row in image:
            if not row["confidence"] and row["label"] in present:
                conflicts += 1
            else:
                rows.append((row["label"], row["confidence"], False))
            for code in (UP if row["confidence"] else DOWN)[row["label"]]:
                if (code, row["confidence"]) in annotated or (not row["confidence"] and code in present):
                    continue
                annotated.add((code, row["confidence"]))
                rows.append((code, row["confidence"], True))
        expected.append(rows)
    result, counted = expand_labels(annotations(LABEL_ROW, images), EXPANSION)
    assert rows_by_image(result, "label", "confidence") == expected
    assert counted == conflicts


def test_everything_but_the_class_is_copied() -> None:
    box = {"label": 1, "source": 2, "confidence": 1, "xmin": 0.1, "xmax": 0.2, "ymin": 0.3, "ymax": 0.4, "group_of": 1}
    result = expand_boxes(annotations(BOX_ROW, [[box]]), EXPANSION)
    first, second = result.rows
    assert (first["label"], second["label"]) == (1, 0)
    second["label"] = 1
    assert first == second


def expand_with_the_api(rows: list[dict], kind: int, hierarchy: pathlib.Path, folder: pathlib.Path) -> list[dict]:
    """Expands the rows with the tool of the Object Detection API."""
    python = str(peer_python("peers"))
    # The tool must not need the last column of its input.
    with (folder / "in.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "End"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"End": "0"} for row in rows)
    subprocess.run(
        [
            python, "-m",
            "object_detection.dataset_tools.oid_hierarchical_labels_expansion",
            f"--json_hierarchy_file={hierarchy}", f"--input_annotations={folder / 'in.csv'}",
            f"--output_annotations={folder / 'out.csv'}", f"--annotation_type={kind}",
        ],
        check=True, capture_output=True, env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    with (folder / "out.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def real_hierarchy() -> tuple[pathlib.Path, Hierarchy, list[str]]:
    path = DATA / "real" / "bbox_labels_600_hierarchy.json"
    if not path.exists():
        pytest.skip(f"the real data is not beside the repository: {path}")
    hierarchy = parse_hierarchy(path.read_bytes(), str(path))
    return path, hierarchy, sorted(hierarchy.ancestors)


def test_boxes_of_every_class_are_expanded_as_by_the_api(tmp_path: pathlib.Path) -> None:
    path, hierarchy, mids = real_hierarchy()
    sides = ("XMin", "XMax", "YMin", "YMax")
    with (DATA / "real" / "v4" / "train-annotations-bbox.sysaster-subset.csv").open(newline="") as file:
        rows = [{name: row[name] for name in ("ImageID", "LabelName", *sides)} for row in csv.DictReader(file)]
    # The six classes of these rows have no ancestors, so each row gets a class in turn, and some get an ancestor, too.
    for place, row in enumerate(rows):
        row["LabelName"] = mids[place % len(mids)]
    for row in rows[::50]:
        rows += [row | {"LabelName": mid} for mid in sorted(hierarchy.ancestors[row["LabelName"]])]
    theirs = expand_with_the_api(rows, 1, path, tmp_path)
    expected = {(row["ImageID"], row["LabelName"], *(np.float32(row[side]) for side in sides)) for row in theirs}

    rows.sort(key=lambda row: row["ImageID"])
    image_ids = sorted({row["ImageID"] for row in rows})
    of_image: dict[str, list[dict]] = {image_id: [] for image_id in image_ids}
    for row in rows:
        of_image[row["ImageID"]].append(
            {"label": mids.index(row["LabelName"])} | {side.lower(): np.float32(row[side]) for side in sides}
        )
    expansion = Expansion.of(hierarchy, mids, np.arange(1, len(mids) + 1))
    images = rows_by_image(
        expand_boxes(annotations(BOX_ROW, list(of_image.values())), expansion), "label", "xmin", "xmax", "ymin", "ymax"
    )
    ours = [(image_id, mids[row[0]], *row[1:5]) for image_id, own in zip(image_ids, images, strict=True) for row in own]
    assert set(ours) == expected
    assert len(ours) < len(theirs)


def test_labels_of_every_class_are_expanded_as_by_the_api(tmp_path: pathlib.Path) -> None:
    path, hierarchy, mids = real_hierarchy()
    # Each class alone, present and absent, and images with a present and an absent class.
    of_image = [[(code, confidence)] for code in range(len(mids)) for confidence in (0, 1)]
    of_image += [[(code, 1), ((code * 7 + 3) % len(mids), 0)] for code in range(len(mids))]
    rows = [
        {"ImageID": f"{image:016x}", "Source": "verification", "LabelName": mids[code], "Confidence": str(confidence)}
        for image, own in enumerate(of_image)
        for code, confidence in own
    ]
    theirs = {
        (int(row["ImageID"], 16), row["LabelName"], int(row["Confidence"]))
        for row in expand_with_the_api(rows, 2, path, tmp_path)
    }
    present = {(image, mid) for image, mid, confidence in theirs if confidence}
    expected = {row for row in theirs if row[2] or row[:2] not in present}
    assert len(expected) < len(theirs)

    expansion = Expansion.of(hierarchy, mids, np.arange(1, len(mids) + 1))
    images = [[{"label": code, "confidence": confidence} for code, confidence in own] for own in of_image]
    result, conflicts = expand_labels(annotations(LABEL_ROW, images), expansion)
    ours = [
        (image, mids[row[0]], int(row[1]))
        for image, own in enumerate(rows_by_image(result, "label", "confidence"))
        for row in own
    ]
    assert len(ours) == len(set(ours))
    assert set(ours) == expected
    assert conflicts == sum(
        (image, mids[code]) in present for image, own in enumerate(of_image) for code, c in own if not c
    )
