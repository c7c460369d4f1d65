"""Prints what Model Garden's Mask R-CNN parser makes of the masks and attributes in TFRecord shards, as JSON lines.

Run it with the Python of .venv-garden: python garden_read_masks.py SHARD... [--attributes=NAME,NAME]
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from official.vision.dataloaders.maskrcnn_input import Parser  # type: ignore[import-not-found]
from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder  # type: ignore[import-not-found]

MASK_SIDE = 28


def main() -> None:
    """Prints one JSON line per record."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("shards", nargs="+")
    flags.add_argument("--attributes", default="")
    options = flags.parse_args()
    names = [name for name in options.attributes.split(",") if name]
    decoder = TfExampleDecoder(include_mask=not names, regenerate_source_id=True, attribute_names=names)
    parser = Parser(
        output_size=[128, 128], min_level=3, max_level=5, num_scales=1, aspect_ratios=[1.0], anchor_size=4.0,
        include_mask=True, mask_crop_size=MASK_SIDE, max_num_instances=20, dtype="float32",
    )  # fmt: skip
    trained = parser.parse_fn(is_training=True)
    for record in tf.data.TFRecordDataset(options.shards):
        decoded = decoder.decode(record)
        if names:
            attributes = decoded["groundtruth_attributes"]
            print(json.dumps({name: attributes[name][:, 0].numpy().tolist() for name in names}))
            continue
        masks = decoded["groundtruth_instance_masks"]
        _, labels = trained(dict(decoded))
        count = int(masks.shape[0])
        line = {
            "image": decoded["image"].shape[:2].as_list(),
            "masks": list(masks.shape),
            "pixels": tf.reduce_sum(masks, axis=[1, 2]).numpy().astype(int).tolist(),
            "crops": [float(value) for value in tf.reduce_max(labels["gt_masks"], axis=[1, 2])[:count]],
            "crop_shape": list(labels["gt_masks"].shape[1:]),
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
