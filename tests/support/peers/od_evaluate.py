"""Evaluates detections against TFRecord shards with the evaluators of TensorFlow's Object Detection API.

Run it with the Python that tests/support/peers/install.sh makes.
Reads a JSON file of detections: source_id to `boxes` (rows of
ymin, xmin, ymax, xmax, normalised), `scores` and `classes` (label map ids); without one, each box of the records is
detected where it is, with score 1. Prints the metrics as JSON.
"""

import argparse
import json
import pathlib
import sys

from od_read import api_decoder, expand_globs, read_records  # Sets up TensorFlow and the API.

# isort: split
import numpy as np
from object_detection.core.standard_fields import (  # type: ignore[import-not-found]
    DetectionResultFields,
    InputDataFields,
)
from object_detection.utils import label_map_util  # type: ignore[import-not-found]
from object_detection.utils import object_detection_evaluation as evaluation  # type: ignore[import-not-found]

EVALUATORS = {
    "oid_V2_detection_metrics": evaluation.OpenImagesDetectionEvaluator,
    "oid_challenge_detection_metrics": evaluation.OpenImagesDetectionChallengeEvaluator,
}
GROUNDTRUTH = (
    InputDataFields.groundtruth_boxes,
    InputDataFields.groundtruth_classes,
    InputDataFields.groundtruth_group_of,
    InputDataFields.groundtruth_image_classes,
)


def main() -> None:
    """Prints the metrics of the evaluator."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("globs", nargs="+")
    flags.add_argument("--label_map", required=True)
    flags.add_argument("--metrics", required=True, choices=EVALUATORS)
    flags.add_argument("--detections", help="JSON file; by default the records' own boxes")
    options = flags.parse_args()
    categories = label_map_util.create_categories_from_labelmap(options.label_map)
    evaluator = EVALUATORS[options.metrics](categories, evaluate_corlocs=False)
    given = json.loads(pathlib.Path(options.detections).read_text()) if options.detections else None
    decoder = api_decoder(options.label_map, decode_image=False, expand_hierarchy=False)
    for _, _, _, tensors in read_records(expand_globs(options.globs), decoder):
        image_id = tensors[InputDataFields.source_id].decode()
        # The evaluators number the classes from 0 in place.
        truth = {name: np.array(tensors[name]) for name in GROUNDTRUTH if name in tensors}
        # As eval_util does: a record without verified labels has none.
        truth.setdefault(InputDataFields.groundtruth_image_classes, np.zeros(0, np.int64))
        boxes = truth[InputDataFields.groundtruth_boxes]
        found = {
            "boxes": boxes.tolist(),
            "scores": [1.0] * len(boxes),
            "classes": truth[InputDataFields.groundtruth_classes].tolist(),
        }
        if given is not None:
            found = given.get(image_id, {"boxes": [], "scores": [], "classes": []})
        evaluator.add_single_ground_truth_image_info(image_id, truth)
        evaluator.add_single_detected_image_info(
            image_id,
            {
                DetectionResultFields.detection_boxes: np.array(found["boxes"], np.float32).reshape(-1, 4),
                DetectionResultFields.detection_scores: np.array(found["scores"], np.float32),
                DetectionResultFields.detection_classes: np.array(found["classes"], np.int64),
            },
        )
    print(json.dumps({name: float(value) for name, value in evaluator.evaluate().items()}))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        sys.exit(f"od_evaluate: error: {type(error).__name__}: {error}")
