"""Runs the Object Detection API's own Open Images converter, dataset_tools/create_oid_tf_record.py.

Run it with the Python that tests/support/peers/install.sh makes; it takes the original's flags (--helpfull lists them):
--input_box_annotations_csv, --input_images_directory, --input_label_map, --output_tf_record_path_prefix, --num_shards,
--input_image_label_annotations_csv.

Two things that the original relies on have gone, so it runs here with both put back:

- It opens each JPEG as `tf.gfile.Open(path)`, in text mode. Under Python 2 that gave bytes; today's TensorFlow decodes
  them as UTF-8 and fails on the first byte of any JPEG (0xff), so the original cannot convert a single image
  (tensorflow/models issue 10035). Here that one call opens in mode 'rb'.
- A stray comma makes its image/class/text feature a tuple of one. protobuf's C implementation unpacks such a tuple by
  accident, its Python implementation (which the API's generated modules need) refuses it. Here the tuple is unpacked.

What the original does with labels, boxes, flags and shards is unchanged, and so is that a CSV row whose JPEG is missing
stops it.
"""

import functools
import os

# The API's generated protobuf modules predate protobuf 4, whose C implementation refuses them.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow.compat.v1 as tf
from object_detection.dataset_tools import create_oid_tf_record  # type: ignore[import-not-found]

_Features = tf.train.Features


def features_of(feature: dict[str, object]) -> tf.train.Features:
    """Builds a tf.train.Features from a map whose values may be tuples of one Feature."""
    return _Features(feature={key: value[0] if isinstance(value, tuple) else value for key, value in feature.items()})


if __name__ == "__main__":
    # The original opens nothing but its images by this name.
    tf.gfile.Open = functools.partial(tf.gfile.Open, mode="rb")
    tf.train.Features = features_of
    tf.app.run(create_oid_tf_record.main)
