"""Writes images with their boxes and labels through the writers of TensorFlow Datasets.

Run it with the Python that tests/support/peers/install_peer.sh makes for tfds:

    python write_tfds.py writer --release=DIR --split=train --output_dir=DIR --num_shards=8

`writer` is what a builder runs by default, in one process: serialise, put into the order of a hash (in memory up to 1
GB, through temporary files above), write TFRecords. `beam_writer` does it as a Beam pipeline on the local runner. The
features are like those of the Open Images builder that TFDS has; an image is handed over as its path, which TFDS
reads and stores as it is. The tables are read before the clock starts. Prints the seconds from the first example to
the last file, as JSON.
"""

import argparse
import csv
import json
import os
import pathlib
import time
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow_datasets as tfds  # type: ignore[import-not-found]
from tensorflow_datasets.core import (  # type: ignore[import-not-found]
    example_serializer,
    file_adapters,
    naming,
    writer,
)
from tensorflow_datasets.core.utils import shard_utils  # type: ignore[import-not-found]

WRITERS = ("writer", "beam_writer")


def make_features(mids: list[str]) -> Any:
    """Returns the features of an example."""
    label = tfds.features.ClassLabel(names=mids)
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {"label": label, "source": tfds.features.Text(), "bbox": tfds.features.BBoxFeature()}
            ),
            "labels": tfds.features.Sequence(
                {"label": label, "source": tfds.features.Text(), "confidence": tfds.features.Scalar(np.float32)}
            ),
        }
    )


def read_examples(release: pathlib.Path, split: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns (ImageID, example) of each image, its pixels still a path."""
    tables = release / "2017_11" / split
    examples: dict[str, dict[str, Any]] = {
        path.stem: {"image": os.fspath(path), "image/filename": path.name, "objects": [], "labels": []}
        for path in sorted((release / "images" / split).iterdir())
    }
    for row in _rows(tables / "annotations-human-bbox.csv"):
        ymin, xmin, ymax, xmax = (float(row[name]) for name in ("YMin", "XMin", "YMax", "XMax"))
        box = tfds.features.BBox(ymin=ymin, xmin=xmin, ymax=ymax, xmax=xmax)
        examples[row["ImageID"]]["objects"].append({"label": row["LabelName"], "source": row["Source"], "bbox": box})
    for row in _rows(tables / "annotations-human.csv"):
        examples[row["ImageID"]]["labels"].append(
            {"label": row["LabelName"], "source": row["Source"], "confidence": float(row["Confidence"])}
        )
    return list(examples.items())


def _rows(path: pathlib.Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def write(
    which: str, features: Any, examples: list[tuple[str, dict[str, Any]]], split: str, folder: str, num_shards: int
) -> None:
    """Writes the examples to TFRecord files in `folder`."""
    file_format = file_adapters.FileFormat.TFRECORD
    arguments = {
        "serializer": example_serializer.ExampleSerializer(features.get_serialized_info()),
        "filename_template": naming.ShardedFileTemplate(
            dataset_name="open_images", data_dir=folder, split=split, filetype_suffix=file_format.file_suffix
        ),
        "hash_salt": split,
        "disable_shuffling": False,
        "shard_config": shard_utils.ShardConfig(num_shards=num_shards),
        "example_writer": writer.ExampleWriter(file_format),
    }
    if which == "writer":
        shards = writer.Writer(**arguments)
        for image_id, example in examples:
            shards.write(image_id, features.encode_example(example))
        shards.finalize()
        return
    import apache_beam as beam  # type: ignore[import-untyped]

    shards = writer.BeamWriter(**arguments)
    with beam.Pipeline() as pipeline:
        encoded = (
            pipeline
            | "CreateExamples" >> beam.Create(examples)
            | "EncodeExamples" >> beam.MapTuple(lambda image_id, example: (image_id, features.encode_example(example)))
        )
        shards.write_from_pcollection(encoded)
    shards.finalize()


def main() -> None:
    """Runs one of the writers and prints its measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("writer", choices=WRITERS)
    parser.add_argument("--release", type=pathlib.Path, required=True, help="Folder that make_images wrote.")
    parser.add_argument("--split", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--num_shards", type=int, required=True)
    options = parser.parse_args()
    features = make_features((options.release / "2017_11" / "classes.txt").read_text().split())
    examples = read_examples(options.release, options.split)
    # What the first example alone takes, such as loading a part of TensorFlow, is no part of the writing.
    features.encode_example(examples[0][1])
    cpu_before, started = time.process_time(), time.perf_counter()
    write(options.writer, features, examples, options.split, options.output_dir, options.num_shards)
    print(json.dumps({"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_before}))


if __name__ == "__main__":
    main()
