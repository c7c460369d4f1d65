"""Scores detections with pycocotools; run with the Python that tests/support/peers/install.sh makes.

Reads JSON from standard input: `truth` (a dataset of COCO), `results` and `iou_type`. Prints the twelve metrics.
"""

import json
import sys

from pycocotools.coco import COCO  # type: ignore[import-not-found]
from pycocotools.cocoeval import COCOeval  # type: ignore[import-not-found]


def main() -> None:
    """Prints the metrics as the last line."""
    given = json.load(sys.stdin)
    truth = COCO()
    truth.dataset = given["truth"]
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(given["results"]), given["iou_type"])
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    print(json.dumps(list(evaluation.stats)))


if __name__ == "__main__":
    main()
