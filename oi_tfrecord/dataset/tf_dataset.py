"""Reads a split for training as a `tf.data.Dataset`."""

from typing import TYPE_CHECKING, Any

from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.training_values import BOX_FLAGS, KINDS, SIDES
from oi_tfrecord.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

_SHARDS_AT_ONCE = 16


def load(
    output_dir: str,
    split: str,
    *,
    decode: bool = True,
    image_size: tuple[int, int] | None = None,
    batch_size: int = 0,
    drop_remainder: bool = False,
    shuffle_buffer: int = 0,
    seed: int | None = None,
    deterministic: bool = True,
) -> "tf.data.Dataset":
    """Returns the records of a split as dicts of tensors: `image`, and the values of `sample_values.KINDS`.

    Args:
        output_dir: folder of the records, on any filesystem that TensorFlow reads.
        split: its name.
        decode: whether `image` is the pixels, uint8 [height, width, 3] RGB, or the JPEG, a string.
        image_size: (height, width) that images are resized to, without keeping their aspect: normalised boxes stay
            right. None leaves them.
        batch_size: records of a batch; lists are padded with zeros, which no label map has as an id. 0 does not batch.
        drop_remainder: whether a last batch with fewer records is left out.
        shuffle_buffer: records to choose the next one among; shards are shuffled, too. 0 keeps the order of the shards.
        seed: of the shuffle; None gives another order every time.
        deterministic: whether the order is the same every time; without, records may come as they are ready.

    Returns:
        The dataset. Its `element_spec` tells the dtypes and shapes.

    Raises:
        ConfigError: for a bad argument.
        InputError: if there is no such split.
    """
    import tensorflow as tf

    if batch_size < 0 or shuffle_buffer < 0:
        raise ConfigError("batch_size" if batch_size < 0 else "shuffle_buffer", "must not be negative")
    if image_size is not None and not (decode and len(image_size) == 2 and min(image_size) > 0):
        raise ConfigError("image_size", f"must be (height, width) above 0, with decode, not {image_size!r}")
    if batch_size and decode and not image_size:
        raise ConfigError("image_size", "is needed with batch_size, as images of a batch must have one size")
    [found] = find_splits(output_dir, [split]).values()
    paths = list(found.shards)
    if shuffle_buffer:
        shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
        records = shards.interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(_SHARDS_AT_ONCE, len(paths)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=deterministic,
        ).shuffle(shuffle_buffer, seed=seed)
    else:
        records = tf.data.TFRecordDataset(paths, buffer_size=4 << 20)

    def parse(data: "tf.Tensor") -> dict[str, Any]:
        return _parse(data, decode, image_size)

    dataset = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic)
    if batch_size:
        dataset = dataset.padded_batch(batch_size, drop_remainder=drop_remainder)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _parse(data: "tf.Tensor", decode: bool, image_size: tuple[int, int] | None) -> dict[str, Any]:
    import tensorflow as tf

    def one(kind: "tf.DType") -> "tf.io.FixedLenFeature":
        return tf.io.FixedLenFeature([], kind)

    def many(kind: "tf.DType") -> "tf.io.FixedLenSequenceFeature":
        return tf.io.FixedLenSequenceFeature([], kind, allow_missing=True)

    parsed = tf.io.parse_single_example(
        data,
        {
            "image/encoded": one(tf.string),
            "image/source_id": one(tf.string),
            "image/height": one(tf.int64),
            "image/width": one(tf.int64),
            **{f"image/object/bbox/{side}": many(tf.float32) for side in SIDES},
            "image/object/class/label": many(tf.int64),
            **{f"image/object/{name}": many(tf.int64) for name in BOX_FLAGS},
            "image/class/label": many(tf.int64),
            "image/class/confidence": many(tf.float32),
        },
    )
    image = parsed["image/encoded"]
    if decode:
        # What Pillow decodes to; the default is faster by little and less exact.
        image = tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")
        if image_size:
            image = tf.cast(tf.round(tf.image.resize(image, image_size, antialias=True)), tf.uint8)
            image.set_shape((*image_size, 3))
    labels = parsed["image/object/class/label"]
    image_labels, confidences = parsed["image/class/label"], parsed["image/class/confidence"]

    def or_else(values: "tf.Tensor", default: "tf.Tensor") -> "tf.Tensor":
        # Records of others lack flags and confidences.
        return tf.cond(tf.size(values) == tf.size(default), lambda: values, lambda: default)

    values = {
        "image_id": parsed["image/source_id"],
        "height": parsed["image/height"],
        "width": parsed["image/width"],
        "boxes": tf.stack([parsed[f"image/object/bbox/{side}"] for side in SIDES], axis=-1),
        "labels": labels,
        **{name: or_else(parsed[f"image/object/{name}"], tf.zeros_like(labels)) for name in BOX_FLAGS},
        "image_labels": image_labels,
        "image_confidences": or_else(confidences, tf.ones(tf.shape(image_labels), tf.float32)),
    }
    for name, (_, shape) in KINDS.items():
        values[name].set_shape(shape)
    return {"image": image, **values}
