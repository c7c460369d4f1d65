"""Expands tables by the Object Detection API's own tool (dataset_tools/oid_hierarchical_labels_expansion.py)."""

import csv
import os
import pathlib
import subprocess

from tests.support.optional import peer_python

BOXES, LABELS = 1, 2
"""Kinds of tables, as the tool numbers them."""


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
