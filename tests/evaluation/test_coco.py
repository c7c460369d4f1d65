import json
import pathlib
import subprocess
from typing import Any

import numpy as np
import pytest

import oi_tfrecord
from oi_tfrecord.images.mask_rle import encode_mask, parse_challenge_text
from tests.conftest import REPOSITORY
from tests.support import random_truth
from tests.support.optional import peer_python


def to_coco(images: list[random_truth.RandomImage], with_masks: bool) -> dict[str, Any]:
    """Returns the dataset of COCO, made apart from the records."""
    objects: list[dict[str, Any]] = []
    for number, item in enumerate(images, start=1):
        for mid, (ymin, xmin, ymax, xmax), is_group, mask in item.boxes:
            sides = [xmin * item.width, ymin * item.height, (xmax - xmin) * item.width, (ymax - ymin) * item.height]
            made = {"id": len(objects) + 1, "image_id": number, "category_id": random_truth.MIDS.index(mid) + 1}
            made |= {"bbox": sides, "area": sides[2] * sides[3], "iscrowd": int(is_group)}
            if with_masks:
                assert mask is not None
                rle = encode_mask(mask)
                shape = {"size": [rle.height, rle.width], "counts": rle.counts.decode()}
                made |= {"segmentation": shape, "area": int(mask.sum())}
            objects.append(made)
    sizes = [{"id": number, "width": item.width, "height": item.height} for number, item in enumerate(images, start=1)]
    classes = [{"id": number, "name": mid} for number, mid in enumerate(random_truth.MIDS, start=1)]
    return {"images": sizes, "annotations": objects, "categories": classes}


def to_result(row: dict[str, Any], item: random_truth.RandomImage, with_masks: bool) -> dict[str, Any]:
    made = {"category_id": random_truth.MIDS.index(row["LabelName"]) + 1, "score": row["Score"]}
    if with_masks:
        counts = parse_challenge_text(row["Mask"], item.width, item.height).counts.decode()
        return made | {"segmentation": {"size": [item.height, item.width], "counts": counts}}
    x, y = row["XMin"] * item.width, row["YMin"] * item.height
    return made | {"bbox": [x, y, row["XMax"] * item.width - x, row["YMax"] * item.height - y]}


@pytest.mark.parametrize("with_masks", [False, True])
def test_the_metrics_of_coco_are_those_of_pycocotools(with_masks: bool, tmp_path: pathlib.Path) -> None:
    python = peer_python("peers")
    images = random_truth.make_images(seed=3, count=40, with_masks=with_masks)
    images = [
        random_truth.keep_boxes(item, [not with_masks or mask is not None for *_, mask in item.boxes])
        for item in images
    ]
    random_truth.write_records(tmp_path / "records", images, with_masks)
    # Equal scores are ordered by image, in the order of the records.
    images = [*images[::2], *images[1::2]]
    number_of = {item.image_id: number for number, item in enumerate(images, start=1)}
    rows = random_truth.detect(images, "doubled", 5, with_masks)
    results = [to_result(row, images[number_of[str(row["ImageID"])] - 1], with_masks) for row in rows]
    ours = [{"image_id": row["ImageID"], **result} for row, result in zip(rows, results, strict=True)]
    (tmp_path / "results.json").write_text(json.dumps(ours))
    official = [
        {"image_id": number_of[str(row["ImageID"])], **result} for row, result in zip(rows, results, strict=True)
    ]
    kind = "segm" if with_masks else "bbox"
    given = json.dumps({"truth": to_coco(images, with_masks), "results": official, "iou_type": kind})
    command = [str(python), str(REPOSITORY / "tests" / "support" / "peers" / "coco_score.py")]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    expected = json.loads(done.stdout.splitlines()[-1])
    options = oi_tfrecord.EvaluateOptions(
        str(tmp_path / "records"), str(tmp_path / "results.json"), metrics="coco", masks=with_masks
    )
    result = oi_tfrecord.evaluate(options)
    assert list(result.summary.values()) == pytest.approx(expected, abs=1e-6)
    assert 0.3 < result.summary["AP"] < 0.95
    scored = [item.average_precision for item in result.classes if item.average_precision is not None]
    assert np.mean(scored) == pytest.approx(result.summary["AP"], abs=1e-9)
