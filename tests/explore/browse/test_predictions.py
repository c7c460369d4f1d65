"""Detections beside the records."""

import csv
import json
import pathlib

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.ground_truth import GroundTruth
from oi_tfrecord.engine.progress_line import NoProgress
from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.explore.browse.browsed_dataset import BrowsedDataset
from oi_tfrecord.explore.browse.index_files import open_index
from oi_tfrecord.explore.browse.predictions import FALSE, IGNORED, MATCHED, match_boxes
from tests.support.browse_server import CORNERS, IMAGES, get_json, image_id, is_group_of, serve

COLUMNS = ("ImageID", "LabelName", "Score", "XMin", "XMax", "YMin", "YMax")
DETECTIONS = (
    # Of image 3 with a dog, a cat and a hostile box: the dog is found twice, the cat is found with a low score.
    (3, "/m/dog", 0.9, CORNERS[0]),
    (3, "/m/dog", 0.8, CORNERS[0]),
    (3, "/m/cat", 0.3, CORNERS[1]),
    # Of image 5, whose dogs are a group.
    (5, "/m/dog", 0.9, CORNERS[0]),
)


@pytest.fixture(scope="module")
def detections(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("detections") / "found.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number, mid, score, (ymin, xmin, ymax, xmax) in DETECTIONS:
            rows.writerow((image_id(number), mid, score, xmin, xmax, ymin, ymax))
    return path


@pytest.fixture(scope="module")
def dataset(folder: pathlib.Path, detections: pathlib.Path) -> BrowsedDataset:
    return BrowsedDataset(str(folder), open_index(str(folder), "", 1, NoProgress()), str(detections))


def make_truth(boxes: list[list[float]], labels: list[int], is_group: list[bool]) -> GroundTruth:
    none = np.zeros(0)
    return GroundTruth("a", ("a",), 0, 0, np.array(boxes), np.array(labels), np.array(is_group), (), none, none)


def test_detections_match_by_class_and_overlap_the_best_score_first() -> None:
    truth = make_truth([[0, 0, 1, 1], [0, 0, 0.4, 0.4], [0.5, 0.5, 1, 1]], [1, 2, 2], [False, False, True])
    boxes = [[0, 0, 0.9, 0.9], [0, 0, 1, 1], [0, 0, 1, 1], [0.6, 0.6, 0.9, 0.9], [0, 0, 0.1, 0.1]]
    found = ImageDetections(
        np.array([1, 1, 3, 2, 2]), np.array([0.5, 0.9, 0.9, 0.9, 0.9]), np.array(boxes), (), np.arange(5)
    )
    matches = match_boxes(found, truth)
    assert matches.outcomes.tolist() == [FALSE, MATCHED, FALSE, IGNORED, FALSE]
    assert matches.objects.tolist() == [-1, 0, -1, -1, -1]


def test_images_have_counts_by_the_least_score(dataset: BrowsedDataset) -> None:
    with serve(dataset) as base:
        assert get_json(base, "/api/dataset")["detections"] is True
        for score, expected in ((0.5, [1, 2, 1]), (0.2, [2, 1, 1]), (0.95, [0, 3, 0])):
            [row] = get_json(base, "/api/images", start=0, count=1, id=image_id(3), score=score)["images"]
            assert [row[name] for name in ("matched", "missed", "false")] == expected
        listed = get_json(base, "/api/images", start=0, count=2, sort="worst")["images"]
        errors = [row["missed"] + row["false"] for row in listed]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] == 3
        found = get_json(base, "/api/images", start=0, count=9, outcome="false")["images"]
        assert [row["id"] for row in found] == [image_id(3)]
        missed = get_json(base, "/api/images", start=0, count=1, outcome="missed")["total"]
        assert missed == sum(number % 4 > 0 and not is_group_of(number) for number in range(IMAGES))


def test_an_image_lists_its_detections(dataset: BrowsedDataset) -> None:
    with serve(dataset) as base:
        facts = get_json(base, "/api/image", image=f"train/{image_id(3)}")
        rows = [(row["name"], row["score"], row["outcome"], row["object"]) for row in facts["detections"]]
        assert rows == [("Dog", 0.9, "matched", 0), ("Dog", 0.8, "false", None), ("Cat", 0.3, "matched", 1)]
        assert facts["detections"][0]["colour"] == facts["boxes"][0]["colour"]
        group = get_json(base, "/api/image", image=f"train/{image_id(5)}")
        assert [row["outcome"] for row in group["detections"]] == ["ignored"]


def test_the_page_shows_what_was_matched_missed_and_false(dataset: BrowsedDataset) -> None:
    from tests.support.browse_page import Page
    from tests.support.chromium import Select, errors_of, open_chromium

    with serve(dataset) as base, open_chromium(1000, 800) as browser:
        page = Page(browser)
        browser.get(base + "/")
        page.wait(lambda: page.tiles())
        Select(page.one("[name=sort]")).select_by_value("worst")
        page.wait(lambda: page.tiles()[0] == image_id(3))
        caption = page.wait(lambda: page.text(f'.tile[title="{image_id(3)}"]'))
        assert "1 matched, 2 missed, 1 false" in caption
        page.one(f'.tile[title="{image_id(3)}"]').click()
        page.wait(lambda: page.shown() == image_id(3))

        def badges() -> set[str]:
            # At once, as the badges are drawn again when the picture is there.
            texts = "return [...document.querySelectorAll('.badge')].map((one) => one.textContent)"
            return set(browser.execute_script(texts))

        assert {"Dog", "missed: Cat", "found 0.90: Dog", "false 0.80: Dog"} <= badges()
        assert "Boxes (3), detections (2)" in page.text("#facts")
        page.one("#facts input[aria-label='Show Dog, detection: false']").click()
        assert "false 0.80: Dog" not in badges()
        browser.get(f"{base}/?score=0.2&image=train/{image_id(3)}")
        page.wait(lambda: "found 0.30: Cat" in badges())
        assert errors_of(browser) == []


def test_a_bad_file_or_score_is_named(
    folder: pathlib.Path, tmp_path: pathlib.Path, dataset: BrowsedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("ImageID,LabelName\n")
    assert main(["browse", str(folder), f"--detections={broken}", "--port=0"]) == 1
    assert "broken.csv" in capsys.readouterr().err
    with serve(dataset) as base:
        from tests.support.browse_server import get

        status, _, body = get(base, "/api/images?start=0&count=1&score=x")
        assert (status, "score" in json.loads(body)["error"]) == (400, True)
