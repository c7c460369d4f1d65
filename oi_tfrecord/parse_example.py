"""Parses serialised `tf.train.Example`s without TensorFlow.

The message types are described here to the protobuf library, whose C parser does the work.
Source: tensorflow/core/example/{example,feature}.proto.
"""

import functools
from typing import Any, TypeAlias

import numpy as np

Values: TypeAlias = "list[bytes] | np.ndarray | None"
"""Of a key: a list of bytes, a float32 or int64 array, or None where the Feature has no kind."""


class ExampleError(ValueError):
    """Bytes that are no `tf.train.Example`."""


def parse_example(data: bytes) -> dict[str, Values]:
    """Parses one Example.

    Args:
      data: the serialised message, as in a TFRecord.

    Returns:
      Key to values, keys in order. The kind of an empty list is kept: `[]`, or an empty float32 or int64 array.

    Raises:
      ExampleError: if the bytes are no Example.
    """
    message_type, decode_error = _protobuf()
    try:
        features = message_type.FromString(data).features.feature
    except decode_error as error:
        raise ExampleError(f"not a tf.train.Example: {error}") from error
    return {key: _values(features[key]) for key in sorted(features)}


def _values(feature: Any) -> Values:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "bytes_list":
        return list(feature.bytes_list.value)
    return np.array(getattr(feature, kind).value, np.float32 if kind == "float_list" else np.int64)


@functools.cache
def _protobuf() -> tuple[Any, type[Exception]]:
    """Returns the class of Example and the error of its parser."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

    # A pool and a package of its own, so that TensorFlow's descriptors may be in the same process.
    file = descriptor_pb2.FileDescriptorProto(name="oi_tfrecord/example.proto", package="oi_tfrecord", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def add(name: str, *fields: tuple[str, int, int, int, str]) -> Any:
        described = file.message_type.add(name=name)
        for label, number, repeated, kind, type_name in fields:
            described.field.add(name=label, number=number, label=repeated, type=kind, type_name=type_name or None)
        return described

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    add("BytesList", ("value", 1, many, field.TYPE_BYTES, ""))
    add("FloatList", ("value", 1, many, field.TYPE_FLOAT, ""))
    add("Int64List", ("value", 1, many, field.TYPE_INT64, ""))
    kinds = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    feature = add(
        "Feature",
        *(
            (name, number, one, field.TYPE_MESSAGE, f".oi_tfrecord.{kind}")
            for number, (name, kind) in enumerate(kinds, 1)
        ),
    )
    feature.oneof_decl.add(name="kind")
    for described in feature.field:
        described.oneof_index = 0
    features = add("Features", ("feature", 1, many, field.TYPE_MESSAGE, ".oi_tfrecord.Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=field.TYPE_MESSAGE, type_name=".oi_tfrecord.Feature")
    add("Example", ("features", 1, one, field.TYPE_MESSAGE, ".oi_tfrecord.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("oi_tfrecord.Example")), message.DecodeError
