"""The queries of docs/guides/sql.md, run as they stand there on Parquet files and on PostgreSQL."""

import collections
import itertools
import math
import pathlib
import re
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from tests.support.dataset_rows import read_list, rows_by_image
from tests.support.optional import duckdb, psycopg
from tests.support.optional import tensorflow as tf

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "guides" / "sql.md"
SPLITS = ("train", "validation")
TREE, BALL = "/m/07j7r", "/m/018xm"

Run = Callable[[str], list[tuple[Any, ...]]]


def queries_of(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


QUERIES = queries_of("sql")


class Counted(NamedTuple):
    """A converted image by the CSV files and the image file alone."""

    split: str
    image_id: str
    boxes: list[dict[str, str]]
    labels: list[dict[str, str]]
    metadata: dict[str, str]
    size: tuple[int, int]

    @property
    def classes(self) -> list[str]:
        return sorted({box["LabelName"] for box in self.boxes})


@pytest.fixture(scope="module")
def images(sample: pathlib.Path) -> list[Counted]:
    """The images with a box of a listed class, which is what `select: boxed` converts."""
    data = sample / "2017_11"
    listed = set(read_list(data / "classes-bbox-trainable.txt"))
    counted = []
    for split in SPLITS:
        tables = [
            rows_by_image(data / split / f"{name}.csv") for name in ("annotations-human-bbox", "annotations-human")
        ]
        for image_id, [metadata] in rows_by_image(data / split / "images.csv").items():
            boxes, labels = ([row for row in rows.get(image_id, []) if row["LabelName"] in listed] for rows in tables)
            if boxes:
                with Image.open(sample / "images" / split / f"{image_id}.jpg") as image:
                    counted.append(Counted(split, image_id, boxes, labels, metadata, image.size))
    return sorted(counted, key=lambda image: image[:2])


def mids(sample: pathlib.Path) -> list[str]:
    return sorted(read_list(sample / "2017_11" / "classes-bbox-trainable.txt"))


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def ask(
    request: pytest.FixtureRequest, exportable: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    if request.param == "duckdb":
        folder = tmp_path_factory.mktemp("tables")
        assert main(["export", str(exportable), f"--to={folder}"]) == 0
        with duckdb.connect() as connection:
            [views] = queries_of("sql duckdb")
            connection.execute(views.replace("'tables/", f"'{folder}/"))
            yield lambda query: connection.execute(query).fetchall()
    else:
        url = request.getfixturevalue("postgres")
        assert main(["export", str(exportable), f"--to={url}"]) == 0
        with psycopg.connect(url) as connection:
            assert "SET search_path TO open_images" in PAGE.read_text()
            connection.execute("SET search_path TO open_images")
            yield lambda query: connection.execute(query).fetchall()


def test_there_are_five() -> None:
    assert len(QUERIES) == 5
    assert all(query.startswith("-- ") for query in QUERIES)


def test_counts_of_classes(ask: Run, images: list[Counted], sample: pathlib.Path) -> None:
    boxes = collections.Counter(box["LabelName"] for image in images for box in image.boxes)
    containing = collections.Counter(mid for image in images for mid in image.classes)
    found = ask(QUERIES[0])
    expected = [(mid, boxes[mid], containing[mid]) for mid in mids(sample)]
    assert [(mid, count, n) for mid, _, count, n in found] == sorted(expected, key=lambda row: (-row[1], row[0]))
    assert sum(boxes.values()) == 114 + 24
    assert (TREE, "Tree") in {row[:2] for row in found}


def test_classes_that_occur_together(ask: Run, images: list[Counted]) -> None:
    pairs = collections.Counter(pair for image in images for pair in itertools.combinations(image.classes, 2))
    assert pairs
    expected = [(*pair, count) for pair, count in pairs.items()]
    assert ask(QUERIES[1]) == sorted(expected, key=lambda row: (-row[2], row[:2]))


def test_a_class_without_another(ask: Run, images: list[Counted], exportable: pathlib.Path) -> None:
    def is_absent(image: Counted, mid: str) -> bool:
        return any(label["LabelName"] == mid and float(label["Confidence"]) == 0 for label in image.labels)

    expected = [image[:2] for image in images if TREE in image.classes and is_absent(image, BALL)]
    assert expected
    found = ask(QUERIES[2])
    assert [row[:2] for row in found] == expected
    # Shard and record say where the image is.
    for _, image_id, shard, record in found:
        [data] = tf.data.TFRecordDataset(str(exportable / shard)).skip(record).take(1)
        source = tf.io.parse_single_example(data, {"image/source_id": tf.io.FixedLenFeature([], tf.string)})
        assert source["image/source_id"].numpy() == image_id.encode()


def test_sizes_of_boxes(ask: Run, images: list[Counted]) -> None:
    sides: dict[str, list[float]] = {}
    for image in images:
        for box in image.boxes:
            width = (float(box["XMax"]) - float(box["XMin"])) * image.size[0]
            height = (float(box["YMax"]) - float(box["YMin"])) * image.size[1]
            sides.setdefault(box["LabelName"], []).append(math.sqrt(width * height))
    found = ask(QUERIES[3])
    assert [row[0] for row in found] == sorted(sides)
    for mid, small, medium, large, median in found:
        by_size = collections.Counter((side >= 32) + (side >= 96) for side in sides[mid])
        assert (small, medium, large) == (by_size[0], by_size[1], by_size[2])
        assert median == pytest.approx(statistics.median(sides[mid]), rel=1e-5)
    assert all(sum(row[column] for row in found) for column in (2, 3))


def test_images_with_most_boxes(ask: Run, images: list[Counted]) -> None:
    expected = [
        (
            *image[:2],
            image.metadata["Author"],
            image.metadata["OriginalLandingURL"],
            len(image.boxes),
            len(image.classes),
            sum(box.get("IsGroupOf") == "1" for box in image.boxes),
        )
        for image in images
    ]
    expected.sort(key=lambda row: (-row[4], row[:2]))
    assert ask(QUERIES[4]) == expected[:10]
    assert any(row[6] for row in expected)
