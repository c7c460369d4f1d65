"""Prints what TensorFlow's Object Detection API reads from TFRecord shards, as JSON lines.

Run it with the Python that tests/support/peers/install.sh makes.
The framing is read by tf.data.TFRecordDataset, each record by
the API's own decoder (data_decoders/tf_example_decoder.py), the label map by its utils/label_map_util.py.

Names that this code relies on have gone and are put back under their old meaning: control_flow_ops.case and .cond,
which tf_slim calls and TensorFlow moved (tensorflow/models issues 11099 and 11113), and numpy.float, an alias of float
that NumPy 1.24 removed.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator

# The API's generated protobuf modules predate protobuf 4, whose C implementation refuses them.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
import tf_slim  # type: ignore[import-not-found]
from object_detection.core.standard_fields import (  # type: ignore[import-not-found]
    InputDataFields,
    TfExampleFields,
)
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder  # type: ignore[import-not-found]
from object_detection.metrics.tf_example_parser import (  # type: ignore[import-not-found]
    TfExampleDetectionAndGTParser,
)
from object_detection.protos import input_reader_pb2  # type: ignore[import-not-found]
from object_detection.utils import label_map_util  # type: ignore[import-not-found]
from tensorflow.python.ops import control_flow_ops

control_flow_ops.case = tf.compat.v1.case
control_flow_ops.cond = tf.compat.v1.cond
np.float = float  # type: ignore[attr-defined]

# What the decoder parses but hands to nobody; these names are not the API's.
_STORED = {
    "stored_encoded": "image/encoded",
    "stored_format": "image/format",
    "stored_height": "image/height",
    "stored_width": "image/width",
}


def to_json(value: object) -> object:
    """Turns arrays, bytes and numpy scalars into what json.dumps takes.

    Args:
        value: a numpy array or scalar of any shape, bytes in UTF-8, a dict of these, or a plain JSON value. float32 is
            widened exactly, so `numpy.float32(number)` gives the stored value back.

    Returns:
        Nested lists, dicts with text keys, numbers, text or None.
    """
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return value.decode("utf-8") if isinstance(value, bytes) else value


def api_decoder(label_map: str, decode_image: bool, expand_hierarchy: bool, masks: bool = False) -> TfExampleDecoder:
    """Builds the API's training decoder, with handlers added for the stored image fields.

    Args:
        label_map: path of a StringIntLabelMap in protobuf text.
        decode_image: False puts an image of 0 x 0 pixels in the place of the decoded one.
        expand_hierarchy: True applies the label map's ancestor_ids and descendant_ids, as the input reader's option
            expand_labels_hierarchy does.
        masks: True reads image/object/mask as PNG masks.

    Returns:
        A decoder whose `decode` takes one serialised Example.
    """
    decoder = TfExampleDecoder(
        label_map_proto_file=label_map,
        expand_hierarchy_labels=expand_hierarchy,
        load_instance_masks=masks,
        instance_mask_type=input_reader_pb2.PNG_MASKS,
    )
    handlers = tf_slim.tfexample_decoder
    for name, key in _STORED.items():
        decoder.items_to_handlers[name] = handlers.Tensor(key)
    if not decode_image:
        decoder.items_to_handlers[InputDataFields.image] = handlers.ItemHandlerCallback(
            ["image/height"], lambda _: tf.zeros([0, 0, 3], tf.uint8)
        )
    return decoder


def decoded_record(tensors: dict[str, np.ndarray], decode_image: bool) -> dict[str, object]:
    """Gives the JSON form of one decoded record.

    Args:
        tensors: what the decoder returned, by its field names.
        decode_image: whether the image in it was decoded.

    Returns:
        The API's fields by the API's names (boxes in rows of [ymin, xmin, ymax, xmax], normalised), but for the image:
        a mask is its `shape` [height, width] and the `sha256` of its pixels as bytes 0 and 1, row by row;
        `image_shape` is [height, width, channels] after decoding or None, `encoded_bytes` and `encoded_sha256` describe
        the stored bytes, and `stored_height`, `stored_width` and `stored_format` are the record's own fields (or the
        decoder's defaults 1, 1 and jpeg).
    """
    tensors = dict(tensors)
    encoded = bytes(tensors.pop("stored_encoded"))
    image = tensors.pop(InputDataFields.image)
    tensors.pop(InputDataFields.original_image_spatial_shape)
    masks = tensors.pop(InputDataFields.groundtruth_instance_masks, None)
    fields = {name: to_json(tensors[name]) for name in sorted(tensors)}
    if masks is not None:
        assert np.isin(masks, (0, 1)).all()
        fields[InputDataFields.groundtruth_instance_masks] = [
            {"shape": list(mask.shape), "sha256": hashlib.sha256(mask.astype(np.uint8).tobytes()).hexdigest()}
            for mask in masks
        ]
    return fields | {
        "image_shape": list(image.shape) if decode_image else None,
        "encoded_bytes": len(encoded),
        "encoded_sha256": hashlib.sha256(encoded).hexdigest(),
    }


def offline_groundtruth(serialised: bytes, parser: TfExampleDetectionAndGTParser) -> dict[str, object] | None:
    """Reads one record as the API's offline evaluation (metrics/offline_eval_map_corloc.py) does.

    Args:
        serialised: one Example without detections.
        parser: the parser of the offline evaluation.

    Returns:
        The groundtruth fields by the API's names, an absent optional one as None; or None where the evaluation would
        skip the image because a required field is missing.
    """
    example = tf.train.Example.FromString(serialised)
    # The parser asks for detections, too. Empty ones, of the kinds that inference/detection_inference.py writes, leave
    # the groundtruth as the only reason to skip.
    feature = example.features.feature
    for side in ("ymin", "xmin", "ymax", "xmax"):
        feature[f"image/detection/bbox/{side}"].float_list.SetInParent()
    feature[TfExampleFields.detection_score].float_list.SetInParent()
    feature[TfExampleFields.detection_class_label].int64_list.SetInParent()
    parsed = parser.parse(example)
    if parsed is None:
        return None
    return {name: to_json(value) for name, value in sorted(parsed.items()) if not name.startswith("detection_")}


def read_records(
    paths: list[str], decoder: TfExampleDecoder
) -> Iterator[tuple[str, int, bytes, dict[str, np.ndarray]]]:
    """Reads and decodes the records of the shards, in order.

    Args:
        paths: shard files, uncompressed.
        decoder: from `api_decoder`.

    Yields:
        (path, record number in that file from 0, serialised Example, decoded tensors as numpy values).

    Raises:
        ValueError: naming the last record read before the one that TensorFlow could not read or decode.
    """

    def records_of(path: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(path).enumerate().map(lambda number, serialised: (path, number, serialised))

    dataset = tf.data.Dataset.from_tensor_slices(paths).flat_map(records_of)
    dataset = dataset.map(lambda path, number, serialised: (path, number, serialised, decoder.decode(serialised)))
    last = f"the start of {paths[0]}"
    try:
        for path, number, serialised, tensors in dataset.as_numpy_iterator():
            last = f"record {number} of {path.decode()}"
            yield path.decode(), int(number), serialised, tensors
    except tf.errors.OpError as error:
        raise ValueError(f"TensorFlow failed after {last}: {error.message}") from error


def label_map_summary(label_map: str) -> dict[str, object]:
    """Reads a label map with the API's label_map_util.

    Args:
        label_map: path of a StringIntLabelMap in protobuf text.

    Returns:
        `label_map_dict` (name to id), `display_name_dict` (display name to id; equal names keep the last id) and
        `category_index` (id, as text, to {id, name}, where name is the display name).
    """
    categories = label_map_util.create_categories_from_labelmap(label_map)
    return {
        "label_map_dict": label_map_util.get_label_map_dict(label_map),
        "display_name_dict": label_map_util.get_label_map_dict(label_map, use_display_name=True),
        "category_index": to_json(label_map_util.create_category_index(categories)),
    }


def expand_globs(patterns: Iterable[str]) -> list[str]:
    """Lists the files that match the patterns, pattern by pattern, each in name order.

    Raises:
        ValueError: where a pattern matches no file.
    """
    paths: list[str] = []
    for pattern in patterns:
        found = sorted(tf.io.gfile.glob(pattern))
        if not found:
            raise ValueError(f"no file matches {pattern}")
        paths += found
    return paths


def main(arguments: list[str] | None = None) -> None:
    """Prints one JSON line per record, then one of type `summary`."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("globs", nargs="+", metavar="GLOB", help="shard files, e.g. 'train.tfrecord-?????-of-00004'")
    flags.add_argument("--label_map", required=True, metavar="PATH", help="StringIntLabelMap in protobuf text")
    flags.add_argument("--no_decode_image", action="store_true", help="leave the image bytes undecoded")
    flags.add_argument("--expand_hierarchy", action="store_true", help="expand labels by the label map's hierarchy")
    flags.add_argument("--masks", action="store_true", help="read instance masks, which are PNGs")
    flags.add_argument("--offline", action="store_true", help="add what the offline evaluation reads, as `offline`")
    options = flags.parse_args(arguments)

    paths = expand_globs(options.globs)
    decoder = api_decoder(options.label_map, not options.no_decode_image, options.expand_hierarchy, options.masks)
    parser = TfExampleDetectionAndGTParser()

    records = 0
    for path, number, serialised, tensors in read_records(paths, decoder):
        line = {"type": "record", "path": path, "number": number}
        line |= decoded_record(tensors, not options.no_decode_image)
        if options.offline:
            line["offline"] = offline_groundtruth(serialised, parser)
        print(json.dumps(line))
        records += 1
    print(json.dumps({"type": "summary", "files": paths, "records": records} | label_map_summary(options.label_map)))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        sys.exit(f"od_read: error: {type(error).__name__}: {error}")
