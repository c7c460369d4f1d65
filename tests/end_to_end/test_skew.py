"""Inputs whose rows are spread unevenly, in small; tests/benchmarks/skew.py has them in full."""

import csv
import json
import pathlib
import random
import re
from collections import Counter

import numpy as np
import pytest

from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.sharding import shard_of
from tests.support import small_release
from tests.support.small_release import MIDS, Release, convert

IMAGES = 40
MANY_BOXES = 10_000


@pytest.fixture
def release(tmp_path: pathlib.Path) -> Release:
    return small_release.write_release(tmp_path / "data", images=IMAGES, faults=False)


def converted(release: Release, output_dir: pathlib.Path, **flags: object) -> dict:
    assert convert(release.flags(output_dir, **{"workers": 1, "csv_block_mb": 1} | flags)) == 0
    manifest = json.loads((output_dir / "manifest.json").read_text())["splits"]["train"]
    assert manifest["balanced"] is True
    return manifest


def boxes_by_image(output_dir: pathlib.Path) -> dict[str, list[tuple[str, float, float]]]:
    """Returns MID, XMin and YMax of the boxes of each record, in order."""
    from tests.support.optional import tensorflow as tf

    found = {}
    for record in small_release.records(output_dir):
        feature = tf.train.Example.FromString(record).features.feature
        found[feature["image/source_id"].bytes_list.value[0].decode()] = list(
            zip(
                [mid.decode() for mid in feature["image/object/class/text"].bytes_list.value],
                feature["image/object/bbox/xmin"].float_list.value,
                feature["image/object/bbox/ymax"].float_list.value,
                strict=True,
            )
        )
    return found


def listed_rows(rows: small_release.Rows) -> dict[str, list[tuple[str, float, float]]]:
    """Returns the same of the rows of the box table."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for row in rows:
        if row[2] in MIDS:
            values = (row[2], float(np.float32(row[4])), float(np.float32(row[7])))
            found.setdefault(row[0], []).append(values)
    return found


@pytest.mark.parametrize("num_shards", [1, 6])
def test_one_image_has_nearly_all_boxes(num_shards: int, release: Release, tmp_path: pathlib.Path) -> None:
    header, *rows = small_release.read_table(release.folder, "boxes")
    crowded = release.image_ids[IMAGES // 2]
    place = next(number for number, row in enumerate(rows) if row[0] == crowded)
    more = [
        [
            crowded,
            "xclick",
            MIDS[number % 4],
            "1",
            f"{number / 20_000:.6f}",
            "0.9",
            "0.1",
            f"{0.2 + number / 20_000:.6f}",
        ]
        for number in range(MANY_BOXES)
    ]
    rows[place:place] = more
    small_release.write_table(release.folder, "boxes", [header, *rows])
    manifest = converted(release, tmp_path / "out", num_shards=num_shards)
    expected = listed_rows(rows)
    assert boxes_by_image(tmp_path / "out") == expected
    assert manifest["totals"]["most_boxes_in_an_image"] == len(expected[crowded]) >= MANY_BOXES
    assert manifest["totals"]["images_over_100_boxes"] == 1


@pytest.mark.parametrize("order", ["list", "frequency"])
def test_one_class_has_40_percent_of_the_rows(order: str, release: Release, tmp_path: pathlib.Path) -> None:
    common = MIDS[2]
    chosen = random.Random(4)
    header, *rows = small_release.read_table(release.folder, "boxes")
    rows = [[*row[:2], common if chosen.random() < 0.4 else row[2], *row[3:]] for row in rows]
    small_release.write_table(release.folder, "boxes", [header, *rows])
    manifest = converted(release, tmp_path / "out", label_order=order)
    counts = Counter(row[2] for row in rows if row[2] in MIDS)
    assert counts[common] > 0.4 * len(rows)
    assert {item["mid"]: item["boxes"] for item in manifest["classes"]} == counts
    [common_id] = [item["id"] for item in manifest["classes"] if item["mid"] == common]
    assert common_id == (1 if order == "frequency" else 3)
    assert boxes_by_image(tmp_path / "out") == listed_rows(rows)


def test_rows_of_an_image_lie_anywhere(release: Release, tmp_path: pathlib.Path) -> None:
    tables = {}
    for number, table in enumerate(small_release.TABLES):
        header, *rows = small_release.read_table(release.folder, table)
        random.Random(number).shuffle(rows)
        small_release.write_table(release.folder, table, [header, *rows])
        tables[table] = rows
    manifest = converted(release, tmp_path / "out")
    assert manifest["totals"]["records"] == IMAGES
    # The order within an image is that of the file, as it is now.
    assert boxes_by_image(tmp_path / "out") == listed_rows(tables["boxes"])


@pytest.mark.parametrize("workers", [1, 2])
def test_one_file_of_many_ranges(workers: int, release: Release, tmp_path: pathlib.Path) -> None:
    """Ranges of 1 MiB; an image's boxes lie across several of them."""
    header, *_ = small_release.read_table(release.folder, "boxes")
    path = release.folder / "train" / small_release.TABLES["boxes"]
    per_image = 1500
    rows = [
        [image_id, "xclick", MIDS[number % 4], "1", f"{number / 2000:.6f}", "0.9", "0.1", "0.8"]
        for image_id in release.image_ids
        for number in range(per_image)
    ]
    small_release.write_table(release.folder, "boxes", [header, *rows])
    assert path.stat().st_size > 3 << 20
    done = small_release.run_command(release.flags(tmp_path / "out", workers=workers, csv_block_mb=1))
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())["splits"]["train"]
    [described] = [item for item in manifest["inputs"] if item["table"] == "boxes"]
    assert len(described["crc32c_of_ranges"]) > 3
    assert boxes_by_image(tmp_path / "out") == listed_rows(rows)


def test_a_shard_each_for_a_hundred_images_and_thousands_to_spare(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=100, faults=False)
    num_shards = 4096
    manifest = converted(release, tmp_path / "many", num_shards=num_shards)
    assert manifest["totals"]["records"] == 100
    shards = small_release.shards(tmp_path / "many")
    assert list(shards) == [f"train.tfrecord-{shard:05d}-of-{num_shards:05d}" for shard in range(num_shards)]
    hashes = hash_ids(np.array([int(image_id, 16) for image_id in release.image_ids], np.uint64))
    per_shard = Counter(shard_of(hashes, num_shards).tolist())
    assert [item["records"] for item in manifest["shards"]] == [per_shard[shard] for shard in range(num_shards)]
    assert {name for name, data in shards.items() if data} == {
        f"train.tfrecord-{shard:05d}-of-{num_shards:05d}" for shard in per_shard
    }
    converted(release, tmp_path / "one", num_shards=1)
    assert list(small_release.records(tmp_path / "many")) == list(small_release.records(tmp_path / "one"))


@pytest.mark.parametrize("filtered", ["boxes", "human_labels"])
def test_every_row_of_a_range_is_left_out(filtered: str, release: Release, tmp_path: pathlib.Path) -> None:
    header, *rows = small_release.read_table(release.folder, filtered)
    rows = [[*row[:2], small_release.UNLISTED, *row[3:]] for row in rows]
    small_release.write_table(release.folder, filtered, [header, *rows])
    manifest = converted(release, tmp_path / "out")
    assert manifest["tables"][filtered]["written"] == 0
    assert manifest["tables"][filtered]["dropped"] == {"class_not_in_label_map": len(rows)}
    assert manifest["totals"]["records"] == IMAGES


def test_a_table_without_rows(release: Release, tmp_path: pathlib.Path) -> None:
    header, *_ = small_release.read_table(release.folder, "boxes")
    small_release.write_table(release.folder, "boxes", [header])
    manifest = converted(release, tmp_path / "out")
    assert manifest["totals"]["records"] == IMAGES
    assert boxes_by_image(tmp_path / "out") == {key: [] for key in release.image_ids}
    for record in small_release.records(tmp_path / "out"):
        assert re.search(rb"image ([0-9a-f]{16})", record)
    with (tmp_path / "out" / "rejects-train.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == []
