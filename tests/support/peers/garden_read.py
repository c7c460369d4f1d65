"""Prints what TensorFlow Model Garden reads from TFRecord shards, as JSON lines.

Run it with the Python that tests/support/peers/install_peer.sh makes for garden.
The framing is read by TFRecordDataset, each
record by Model Garden's decoders: TfExampleDecoder takes ids from the record, TfExampleDecoderLabelMap looks MIDs up in
a CSV. What RetinaNet's parser makes of it for an evaluation and for training is printed, too; for an evaluation it
turns the source id into a number with `process_source_id`.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from official.vision.dataloaders.retinanet_input import Parser  # type: ignore[import-not-found]
from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder  # type: ignore[import-not-found]
from official.vision.dataloaders.tf_example_label_map_decoder import (  # type: ignore[import-not-found]
    TfExampleDecoderLabelMap,
)

PADDED_TO = 30


def to_json(tensor: tf.Tensor) -> object:
    """Turns a tensor into what json.dumps takes; float32 is widened exactly."""
    value = tensor.numpy()
    return value.decode("utf-8") if isinstance(value, bytes) else value.tolist()


def main() -> None:
    """Prints one JSON line per record."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("shards", nargs="+", help="shard files")
    flags.add_argument("--label_map", required=True, help="`id,name` CSV")
    flags.add_argument("--regenerate_source_id", action="store_true", help="as the configuration's field of this name")
    options = flags.parse_args()

    decoder = TfExampleDecoder(regenerate_source_id=options.regenerate_source_id)
    by_name = TfExampleDecoderLabelMap(options.label_map, regenerate_source_id=options.regenerate_source_id)
    parser = Parser(
        output_size=[128, 128], min_level=3, max_level=5, num_scales=1, aspect_ratios=[1.0], anchor_size=4.0,
        max_num_instances=PADDED_TO, dtype="float32",
    )  # fmt: skip
    evaluated, trained = parser.parse_fn(is_training=False), parser.parse_fn(is_training=True)

    def read(serialised: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        decoded = decoder.decode(serialised)
        _, labels = evaluated(dict(decoded))
        _, targets = trained(dict(decoded))
        image = decoded.pop("image")
        matched = {
            level: tf.reduce_sum(tf.cast(found > 0, tf.int32)) for level, found in targets["cls_targets"].items()
        }
        return {
            "decoded": decoded | {"image_shape": tf.shape(image)},
            "by_name": {"groundtruth_classes": by_name.decode(serialised)["groundtruth_classes"]},
            "evaluated": labels["groundtruths"],
            "trained": {"anchors_of_objects": tf.add_n(list(matched.values()))},
        }

    for record in tf.data.TFRecordDataset(options.shards).map(read):
        print(json.dumps(tf.nest.map_structure(to_json, record)))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        sys.exit(f"garden_read: error: {type(error).__name__}: {error}")
