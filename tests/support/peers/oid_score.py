"""Scores files by the official program of the Open Images challenge (metrics/oid_challenge_evaluation.py).

Run it with the Python that tests/support/peers/install.sh makes. Reads a JSON list of cases from standard input: each
has `boxes`, `image_labels`, `label_map`, `predictions`, perhaps `masks`, and `metrics`. Prints the metrics of each case
as JSON, or an error as text. With `oid_V2`, the same program uses the API's evaluator of that protocol.
"""

import csv
import json
import pathlib
import sys
import tempfile

import od_read  # noqa: F401  # Sets up TensorFlow and the API.

# isort: split
from absl import flags
from object_detection.metrics import oid_challenge_evaluation as program  # type: ignore[import-not-found]
from object_detection.utils import object_detection_evaluation as evaluation  # type: ignore[import-not-found]

CHALLENGE = evaluation.OpenImagesChallengeEvaluator


def open_images_v2(categories: list[dict[str, object]], evaluate_masks: bool) -> object:
    """Returns the evaluator of Open Images V2 as the program makes that of the challenge."""
    return evaluation.OpenImagesDetectionEvaluator(categories, evaluate_masks=evaluate_masks)


def score(case: dict[str, str], output: str) -> dict[str, float]:
    """Runs the program, and returns its metrics by name."""
    evaluation.OpenImagesChallengeEvaluator = open_images_v2 if case["metrics"] == "oid_V2" else CHALLENGE
    flags.FLAGS.unparse_flags()
    given = [
        f"--input_annotations_boxes={case['boxes']}",
        f"--input_annotations_labels={case['image_labels']}",
        f"--input_class_labelmap={case['label_map']}",
        f"--input_predictions={case['predictions']}",
        f"--output_metrics={output}",
        f"--input_annotations_segm={case.get('masks', '')}",
    ]
    flags.FLAGS(["program", *given])
    program.main(None)
    with pathlib.Path(output).open(newline="") as file:
        return {name: float(value) for name, value in csv.reader(file)}


def main() -> None:
    """Prints the metrics of each case."""
    results: list[object] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in json.load(sys.stdin):
            try:
                results.append(score(case, f"{folder}/metrics.csv"))
            except Exception as error:
                results.append(f"{type(error).__name__}: {error}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
