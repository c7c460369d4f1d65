"""Reads a folder of records with TensorFlow Datasets and prints, per split, what it found, as JSON.

Run it with the Python of .venv-tfds: python read_tfds.py FOLDER
"""

import json
import sys
from typing import Any

import tensorflow_datasets as tfds  # type: ignore[import-not-found]


def describe(example: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of one example that the test compares."""
    masks = example.get("image/object/mask")
    return {
        "image_id": example["image/source_id"].decode(),
        "shape": list(example["image/encoded"].shape),
        "classes": [mid.decode() for mid in example["image/object/class/text"]],
        "xmin": example["image/object/bbox/xmin"].tolist(),
        "masks": None if masks is None else [[int(mask.sum()), int(mask.max())] for mask in masks],
    }


def main() -> None:
    """Prints the examples of each split."""
    builder = tfds.builder_from_directory(sys.argv[1])
    found = {
        name: {
            "count": split.num_examples,
            "examples": [describe(example) for example in tfds.as_numpy(builder.as_dataset(split=name))],
        }
        for name, split in builder.info.splits.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
