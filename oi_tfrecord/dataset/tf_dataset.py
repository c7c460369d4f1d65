"""Reads a split for training as a `tf.data.Dataset`."""

import dataclasses
import itertools
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.shard_index import check_whole, count_records, read_whole_shard
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.training_values import VALUE_SPECS, check_keys, read_image_size
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.keys import (
    ABSENT_LABEL_KEY,
    BBOX_KEYS,
    BOX_FLAGS,
    BOX_LABEL_KEY,
    ENCODED_KEY,
    HEIGHT_KEY,
    KNOWN_KEYS,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    MASK_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    FeatureKind,
    ListLength,
    flag_key,
)

if TYPE_CHECKING:
    import tensorflow as tf

_SHARDS_AT_ONCE = 16

_BUFFER_BYTES = 4 << 20


def load(
    output_dir: str | os.PathLike[str],
    split: str,
    *,
    decode: bool = True,
    image_size: tuple[int, int] | None = None,
    batch_size: int = 0,
    drop_remainder: bool = False,
    shuffle_buffer: int = 0,
    seed: int | None = None,
    deterministic: bool = True,
    storage_options: Mapping[str, Any] | None = None,
    masks: bool = False,
    keys: Sequence[str] = (),
    shard: "tuple[int, int] | tf.distribute.InputContext | None" = None,
) -> "tf.data.Dataset":
    """Returns the records of a split as dicts of tensors: `image`, and the values of `training_values.VALUE_SPECS`.

    Args:
        output_dir: Folder of the records: local, on an object store, or on a filesystem that TensorFlow reads.
        split: Name of the split.
        decode: Whether `image` is the pixels, uint8 [height, width, 3] RGB, or the JPEG, a string.
        image_size: (height, width) that images are resized to, without keeping their aspect: normalised boxes stay
            right. None keeps the size of each image.
        batch_size: Records of a batch; lists are padded with zeros, which no label map has as an id. 0 does not batch.
        drop_remainder: Whether a last batch with fewer records is left out.
        shuffle_buffer: Records to choose the next record from; shards are shuffled, too. 0 keeps the order of the
            shards.
        seed: Seed of the shuffle; None gives another order every time.
        deterministic: Whether the order is the same every time; without, records come as they are ready.
        storage_options: How an object store is reached; see `RecordDataset`.
        masks: Whether records also have `masks`, uint8 [boxes, height, width] of the size of `image`, 1 in the object;
            [0, height, width] where the records have no masks.
        keys: Further keys of the records, such as `image/filename`; their values come under the names of the keys.
        shard: Part of the records for one of several workers, as (index, count) or as the `InputContext` that
            `Strategy.distribute_datasets_from_function` gives. It is chosen before the shuffle and before images are
            decoded: each record goes to one worker. Worker `index` reads each `count`-th shard; with fewer shards than
            workers, it reads all shards and keeps each `count`-th record.

    Returns:
        The dataset; its `element_spec` has the dtypes and shapes. It knows its length where the manifest or the indexes
        of the shards say the number of records, and then stops with an error if it reads fewer.

    Raises:
        ConfigError: For a bad argument, or a bad setting of the store.
        InputError: If there is no such split, or a shard of the split is missing, short or of another conversion.
    """
    import tensorflow as tf

    output_dir = storage.expand(output_dir)
    _check_arguments(decode, image_size, batch_size, shuffle_buffer)
    check_keys(keys)
    worker = Worker.of(shard)
    storage.use_store(output_dir, storage_options or {})
    [found] = find_splits(output_dir, [split]).values()
    check_whole(found)
    parts = choose_parts(found.shards, count_records(found), worker)
    records = _shuffle_shards(parts, seed, deterministic) if shuffle_buffer else _read_parts(parts)
    if (length := count_parts(parts)) is not None:
        records = records.apply(tf.data.experimental.assert_cardinality(length))
    if shuffle_buffer:
        records = records.shuffle(shuffle_buffer, seed=seed)
    dataset = records.map(
        lambda data: _parse(data, decode, image_size, masks, keys),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=deterministic,
    )
    if batch_size:
        dataset = dataset.padded_batch(batch_size, drop_remainder=drop_remainder)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _check_arguments(decode: bool, image_size: tuple[int, int] | None, batch_size: int, shuffle_buffer: int) -> None:
    for field, value in (("batch_size", batch_size), ("shuffle_buffer", shuffle_buffer)):
        if value < 0:
            raise ConfigError(field, f"must not be negative, and is {value}")
    if image_size is not None:
        read_image_size(image_size)
        if not decode:
            raise ConfigError("image_size", "needs decode=True, as only pixels are resized")
    if batch_size and decode and not image_size:
        raise ConfigError("image_size", "is needed with batch_size, as images of a batch must have one size")


@dataclasses.dataclass(frozen=True)
class Worker:
    """Which of `count` workers reads, from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def of(cls, shard: Any) -> "Worker":
        """Returns the worker that an argument `shard` of `load` names: (index, count), an InputContext, or None.

        Raises:
            ConfigError: If there is no such worker.
        """
        if hasattr(shard, "num_input_pipelines"):
            return cls(shard.input_pipeline_id, shard.num_input_pipelines)
        try:
            index, count = (0, 1) if shard is None else map(operator.index, shard)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                "shard", f"must be (index, count) or a tf.distribute.InputContext, not {shard!r}"
            ) from error
        if not 0 <= index < count:
            raise ConfigError("shard", f"must be (index, count) with 0 <= index < count, not {shard!r}")
        return cls(index, count)


@dataclasses.dataclass(frozen=True)
class ShardPart:
    """The records of a shard that a worker reads.

    Attributes:
        path: Path of the shard.
        first: Number in the shard, from 0, of the first record that the worker reads.
        step: Distance from one of its records to the next.
        records: Number of its records; None if the number of the shard's records is unknown.
    """

    path: str
    first: int
    step: int
    records: int | None


def choose_parts(paths: Sequence[str], counts: Sequence[int] | None, worker: Worker) -> tuple[ShardPart, ...]:
    """Returns what a worker reads: whole shards, or a part of each where there are fewer shards than workers.

    Args:
        paths: The shards.
        counts: Number of records of each shard; None if unknown.
        worker: The worker.
    """
    known: Sequence[int | None] = counts if counts is not None else [None] * len(paths)
    if len(paths) >= worker.count:
        shards = range(worker.index, len(paths), worker.count)
        return tuple(ShardPart(paths[shard], 0, 1, known[shard]) for shard in shards)
    # Counted through all shards, so that the workers get equally many records.
    starts = itertools.accumulate(counts or [0] * len(paths), initial=0)
    firsts = [(worker.index - start) % worker.count for start in starts]
    return tuple(
        ShardPart(path, first, worker.count, None if count is None else len(range(first, count, worker.count)))
        for path, first, count in zip(paths, firsts, known, strict=False)
    )


def count_parts(parts: Sequence[ShardPart]) -> int | None:
    """Returns the number of records that a worker reads; None if unknown."""
    counts = [part.records for part in parts]
    return None if None in counts else sum(count for count in counts if count is not None)


def _shuffle_shards(parts: Sequence[ShardPart], seed: int | None, deterministic: bool) -> "tf.data.Dataset":
    """Returns the serialised records of a worker, read from several shards at once in a random order of the shards."""
    import tensorflow as tf

    return (
        _list_parts(parts)
        .shuffle(len(parts), seed=seed)
        .interleave(
            _reader_of(parts),
            cycle_length=min(_SHARDS_AT_ONCE, len(parts)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=deterministic,
        )
    )


def _read_parts(parts: Sequence[ShardPart]) -> "tf.data.Dataset":
    """Returns the serialised records of a worker in the order of the shards."""
    import tensorflow as tf

    if storage.store_of(parts[0].path) or parts[0].step > 1:
        return _list_parts(parts).flat_map(_reader_of(parts))
    return tf.data.TFRecordDataset([part.path for part in parts], buffer_size=_BUFFER_BYTES)


def _list_parts(parts: Sequence[ShardPart]) -> "tf.data.Dataset":
    """Returns (path, first) of each part."""
    import tensorflow as tf

    firsts = tf.constant([part.first for part in parts], tf.int64)
    return tf.data.Dataset.from_tensor_slices(([part.path for part in parts], firsts))


def _reader_of(parts: Sequence[ShardPart]) -> Callable[["tf.Tensor", "tf.Tensor"], "tf.data.Dataset"]:
    """Returns what makes the serialised records of a part, given its path and first record."""
    import tensorflow as tf

    read = _read_object if storage.store_of(parts[0].path) else tf.data.TFRecordDataset
    step = parts[0].step
    return lambda path, first: read(path) if step == 1 else read(path).shard(step, first)


def _read_object(path: "tf.Tensor") -> "tf.data.Dataset":
    """Returns the serialised records of a shard on an object store, which TensorFlow itself cannot read."""
    import tensorflow as tf

    return tf.data.Dataset.from_generator(_read_records, args=(path,), output_signature=tf.TensorSpec((), tf.string))


def _read_records(path: bytes) -> Iterator[bytes]:
    return read_whole_shard(path.decode(), None)


def _parse(
    data: "tf.Tensor", decode: bool, image_size: tuple[int, int] | None, masks: bool, keys: Sequence[str]
) -> dict[str, Any]:
    """Returns the tensors of a serialised record."""
    import tensorflow as tf

    parsed = tf.io.parse_single_example(data, {**_further_specs(keys), **_feature_specs()})
    image = parsed[ENCODED_KEY]
    height, width = _find_size(parsed)
    if decode:
        image = _decode_image(image, image_size)
    labels, image_labels, absent = parsed[BOX_LABEL_KEY], parsed[LABEL_KEY], parsed[ABSENT_LABEL_KEY]
    confidences = _values_or(parsed[LABEL_CONFIDENCE_KEY], tf.ones(tf.shape(image_labels), tf.float32))
    values = {
        "image_id": parsed[SOURCE_ID_KEY],
        "height": height,
        "width": width,
        "boxes": tf.stack([parsed[key] for key in BBOX_KEYS], axis=-1),
        "labels": labels,
        **{flag: _values_or(parsed[flag_key(flag)], tf.zeros_like(labels)) for flag in BOX_FLAGS},
        "image_labels": tf.concat([image_labels, absent], 0),
        "image_confidences": tf.concat([confidences, tf.zeros(tf.shape(absent), tf.float32)], 0),
    }
    for name, spec in VALUE_SPECS.items():
        values[name].set_shape(spec.shape)
    if masks:
        values["masks"] = _decode_masks(parsed[MASK_KEY], parsed[HEIGHT_KEY], parsed[WIDTH_KEY], image_size)
    return {"image": image, **values, **{key: parsed[key] for key in keys}}


def _further_specs(keys: Sequence[str]) -> dict[str, Any]:
    """Returns the features of further keys; see `training_values.further_values`."""
    import tensorflow as tf

    dtypes = {FeatureKind.BYTES: tf.string, FeatureKind.FLOAT: tf.float32, FeatureKind.INT64: tf.int64}
    known = {key: KNOWN_KEYS[key] for key in keys}
    return {
        key: tf.io.FixedLenFeature([], dtypes[found.kind])
        if found.length is ListLength.ONE
        else tf.io.FixedLenSequenceFeature([], dtypes[found.kind], allow_missing=True)
        for key, found in known.items()
    }


def _feature_specs() -> dict[str, Any]:
    import tensorflow as tf

    def many(kind: "tf.DType") -> "tf.io.FixedLenSequenceFeature":
        return tf.io.FixedLenSequenceFeature([], kind, allow_missing=True)

    return {
        ENCODED_KEY: tf.io.FixedLenFeature([], tf.string),
        SOURCE_ID_KEY: tf.io.FixedLenFeature([], tf.string),
        HEIGHT_KEY: tf.io.FixedLenFeature([], tf.int64, 0),
        WIDTH_KEY: tf.io.FixedLenFeature([], tf.int64, 0),
        **{key: many(tf.float32) for key in BBOX_KEYS},
        BOX_LABEL_KEY: many(tf.int64),
        **{flag_key(flag): many(tf.int64) for flag in BOX_FLAGS},
        LABEL_KEY: many(tf.int64),
        ABSENT_LABEL_KEY: many(tf.int64),
        LABEL_CONFIDENCE_KEY: many(tf.float32),
        MASK_KEY: many(tf.string),
    }


def _find_size(parsed: Mapping[str, "tf.Tensor"]) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Returns the height and width of the encoded image; records of the API's own converter lack their keys."""
    import tensorflow as tf

    height, width, encoded = parsed[HEIGHT_KEY], parsed[WIDTH_KEY], parsed[ENCODED_KEY]

    def read_size() -> tuple["tf.Tensor", "tf.Tensor"]:
        shape = tf.shape(tf.io.decode_jpeg(encoded, channels=3), tf.int64)
        return shape[0], shape[1]

    return tf.cond((height > 0) & (width > 0), lambda: (height, width), read_size)


def _decode_image(encoded: "tf.Tensor", image_size: tuple[int, int] | None) -> "tf.Tensor":
    import tensorflow as tf

    # The same pixels as Pillow's; TensorFlow's default is little faster and less exact.
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    if image_size:
        image = tf.cast(tf.round(tf.image.resize(image, image_size, antialias=True)), tf.uint8)
        image.set_shape((*image_size, 3))
    return image


def _decode_masks(
    pngs: "tf.Tensor", height: "tf.Tensor", width: "tf.Tensor", image_size: tuple[int, int] | None
) -> "tf.Tensor":
    """Returns masks, uint8 [boxes, height, width]."""
    import tensorflow as tf

    def decode(png: "tf.Tensor") -> "tf.Tensor":
        mask = tf.minimum(tf.io.decode_png(png, channels=1), tf.constant(1, tf.uint8))
        # The pixel in which the middle lies, as `sample_mask` takes.
        return tf.image.resize(mask, image_size, method="nearest")[..., 0] if image_size else mask[..., 0]

    size = [tf.cast(side, tf.int64) for side in image_size or (height, width)]
    masks = tf.cond(
        tf.size(pngs) > 0,
        lambda: tf.map_fn(decode, pngs, fn_output_signature=tf.TensorSpec([None, None], tf.uint8)),
        # The map does not know the size of no mask.
        lambda: tf.zeros([0, *size], tf.uint8),
    )
    masks.set_shape((None, *(image_size or (None, None))))
    return masks


def _values_or(values: "tf.Tensor", default: "tf.Tensor") -> "tf.Tensor":
    """Returns the default for third-party records, which lack flags and confidences."""
    import tensorflow as tf

    return tf.cond(tf.size(values) == tf.size(default), lambda: values, lambda: default)
