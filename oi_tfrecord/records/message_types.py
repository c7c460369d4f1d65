"""The two protobuf messages that we read and write, without TensorFlow or the Object Detection API installed.

Sources: tensorflow/core/example/{example,feature}.proto and object_detection/protos/string_int_label_map.proto. They
are written here as the text of a FileDescriptorProto, because protobuf compiles no .proto file at run time.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

_EXAMPLE_FILE = """
name: "tensorflow/core/example/example.proto"  package: "tensorflow"  syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT } }
message_type { name: "Int64List" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type {
  name: "Feature"
  oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 label: LABEL_OPTIONAL type_name: "BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 label: LABEL_OPTIONAL type_name: "FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 label: LABEL_OPTIONAL type_name: "Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  nested_type {
    name: "FeatureEntry"
    options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type_name: ".tensorflow.Feature" }
  }
  field { name: "feature" number: 1 label: LABEL_REPEATED type_name: ".tensorflow.Features.FeatureEntry" }
}
message_type { name: "Example" field { name: "features" number: 1 label: LABEL_OPTIONAL type_name: "Features" } }
"""

_LABEL_MAP_FILE = """
name: "object_detection/protos/string_int_label_map.proto"  package: "object_detection.protos"  syntax: "proto2"
enum_type {
  name: "LVISFrequency"
  value { name: "UNSPECIFIED" number: 0 }
  value { name: "FREQUENT" number: 1 }
  value { name: "COMMON" number: 2 }
  value { name: "RARE" number: 3 }
}
message_type {
  name: "StringIntLabelMapItem"
  nested_type {
    name: "KeypointMap"
    field { name: "id" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
    field { name: "label" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
  }
  field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "id" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "display_name" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "keypoints" number: 4 label: LABEL_REPEATED type_name: "KeypointMap" }
  field { name: "ancestor_ids" number: 5 label: LABEL_REPEATED type: TYPE_INT32 }
  field { name: "descendant_ids" number: 6 label: LABEL_REPEATED type: TYPE_INT32 }
  field { name: "frequency" number: 7 label: LABEL_OPTIONAL type_name: "LVISFrequency" default_value: "UNSPECIFIED" }
  field { name: "instance_count" number: 8 label: LABEL_OPTIONAL type: TYPE_INT32 }
}
message_type {
  name: "StringIntLabelMap"
  field { name: "item" number: 1 label: LABEL_REPEATED type_name: "StringIntLabelMapItem" }
}
"""


_POOL = descriptor_pool.DescriptorPool()
"""A pool of our own, because TensorFlow may register the same names in the default pool of the process.

It lives as long as the module, because protobuf's C code may use the pool of a class whose messages are alive.
"""


def _message_class(file: str, name: str) -> Any:
    """Returns the class of the message `name` of a described .proto file."""
    _POOL.Add(text_format.Parse(file, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


Example = _message_class(_EXAMPLE_FILE, "tensorflow.Example")

StringIntLabelMap = _message_class(_LABEL_MAP_FILE, "object_detection.protos.StringIntLabelMap")


def _make_nested_classes() -> None:
    """Makes the classes of all messages now, because two threads that parse their first record would both make them."""
    features = Example().features.feature
    for kind in ("bytes_list", "float_list", "int64_list"):
        len(getattr(features[kind], kind).value)
    StringIntLabelMap().item.add().keypoints.add()


_make_nested_classes()
