import csv
import pathlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.join.expand_hierarchy import Expansion, cut_classes, expand_boxes, expand_labels
from oi_tfrecord.join.join_shard import Annotations
from oi_tfrecord.openimages.csv.filters import ImpliedClasses
from oi_tfrecord.openimages.hierarchy import Hierarchy, parse_hierarchy
from oi_tfrecord.openimages.schema import BOX_ROW, LABEL_ROW, Table
from oi_tfrecord.reasons import Drop
from tests.conftest import DATA
from tests.support.api_expansion import expand_with_the_api

# Two classes above /c, one of which is above the other; /e is outside of the label map.
MIDS = ("/a", "/b", "/c", "/d", "/e")
LABEL_IDS = np.array([3, 1, 2, 4, 0])
HIERARCHY = Hierarchy(
    {"/a": frozenset(), "/b": frozenset({"/a"}), "/c": frozenset({"/a", "/b", "/e"}), "/x": frozenset({"/a"})},
    {"/a": frozenset({"/b", "/c"}), "/b": frozenset({"/c"}), "/c": frozenset()},
)
EXPANSION = Expansion.of(HIERARCHY, MIDS, LABEL_IDS, np.ones(len(MIDS), bool))
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
    expansion = Expansion.of(hierarchy, mids, np.arange(1, len(mids) + 1), np.ones(len(mids), bool))
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

    expansion = Expansion.of(hierarchy, mids, np.arange(1, len(mids) + 1), np.ones(len(mids), bool))
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


chosen_ids = st.lists(st.booleans(), min_size=4, max_size=4).map(lambda chosen: np.array([*chosen, False]) * LABEL_IDS)


def written_rows(result: Annotations, label_ids: np.ndarray, *names: str) -> list[Counter]:
    """Returns the rows of each image whose class has an id."""
    images = rows_by_image(result, "label", *names)
    return [Counter(row[:-1] for row in rows if label_ids[row[0]]) for rows in images]


def expand_chosen(table: Table, rows: Annotations, label_ids: np.ndarray) -> tuple[Annotations, Annotations, Counter]:
    """Leaves out the rows that imply no class with an id, expands the others, and cuts the classes without an id."""
    written = [mid for mid, label_id in zip(MIDS, label_ids.tolist(), strict=True) if label_id]
    implied = ImpliedClasses.of(HIERARCHY, MIDS, written)
    kept = (label_ids > 0)[rows.rows["label"]] | implied.find(table, rows.rows)
    until = np.append(0, np.cumsum(kept))
    read = Annotations(rows.rows[kept], until[rows.offsets], ())
    expansion = Expansion.of(HIERARCHY, MIDS, label_ids, np.array([True, True, True, False, False]))
    expanded = expand_boxes(read, expansion) if table is Table.BOXES else expand_labels(read, expansion)[0]
    return read, *cut_classes(expanded, expansion)


@given(images=st.lists(st.lists(boxes, max_size=6), max_size=4), label_ids=chosen_ids)
def test_boxes_of_chosen_classes_are_those_of_all_classes(images: list[list[dict]], label_ids: np.ndarray) -> None:
    rows = annotations(BOX_ROW, images)
    read, chosen, cut = expand_chosen(Table.BOXES, rows, label_ids)
    everything = written_rows(expand_boxes(rows, EXPANSION), label_ids, "xmin")
    assert written_rows(chosen, label_ids, "xmin") == everything
    assert chosen.added is not None
    assert chosen.origin is not None
    assert len(read.rows) == np.count_nonzero(~chosen.added) + cut.total()
    assert cut[Drop.CLASS_NOT_IN_LABEL_MAP] == np.count_nonzero((read.rows["label"] == 3) & (label_ids[3] == 0))
    # A box that is added is a copy of the box at its origin.
    sources = read.rows[chosen.origin]
    assert np.array_equal(sources["xmin"], chosen.rows["xmin"])
    assert np.array_equal(sources["line"], chosen.rows["line"])


@given(images=st.lists(st.lists(labels, max_size=6), max_size=4), label_ids=chosen_ids)
def test_labels_of_chosen_classes_are_those_of_all_classes(images: list[list[dict]], label_ids: np.ndarray) -> None:
    rows = annotations(LABEL_ROW, images)
    _, chosen, _ = expand_chosen(Table.HUMAN_LABELS, rows, label_ids)
    everything = written_rows(expand_labels(rows, EXPANSION)[0], label_ids, "confidence")
    assert [set(rows) for rows in written_rows(chosen, label_ids, "confidence")] == [set(rows) for rows in everything]
