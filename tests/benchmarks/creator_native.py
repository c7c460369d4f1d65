"""Runs the Object Detection API's Open Images converter on protobuf's native implementation.

Run it with the Python that tests/support/peers/install.sh makes; it takes the flags of
tests/support/peers/create_oid.py. That script has to choose protobuf's Python implementation, as the API's generated
modules are too old for the native one, and then every Example is built and serialised in Python. The converter needs
only one of these modules, so here that one is made again from the schema inside it. JPEGs are opened as bytes, as
there.
"""

import ast
import functools
import os
import pathlib
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import object_detection.protos  # type: ignore[import-not-found]
import tensorflow.compat.v1 as tf
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from google.protobuf.internal import api_implementation  # type: ignore[import-untyped]

_MODULE = "string_int_label_map_pb2"


def schema_of(source: str) -> bytes:
    """Returns the serialised FileDescriptorProto inside a module that an old protoc generated.

    Raises:
        ValueError: if there is none.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb" and isinstance(node.value, ast.Constant):
            serialised = node.value.value
            if isinstance(serialised, bytes):
                return serialised
    raise ValueError("no serialized_pb")


def make_module(serialised: bytes) -> types.ModuleType:
    """Returns a module with the messages of a serialised FileDescriptorProto."""
    pool = descriptor_pool.DescriptorPool()
    schema = descriptor_pb2.FileDescriptorProto.FromString(serialised)
    pool.Add(schema)
    module = types.ModuleType(f"object_detection.protos.{_MODULE}")
    for name, message in pool.FindFileByName(schema.name).message_types_by_name.items():
        setattr(module, name, message_factory.GetMessageClass(message))
    return module


def main() -> None:
    """Puts the module in place and runs the converter."""
    if api_implementation.Type() == "python":
        sys.exit("protobuf has no native implementation here")
    folder = pathlib.Path(next(iter(object_detection.protos.__path__)))
    module = make_module(schema_of((folder / f"{_MODULE}.py").read_text()))
    sys.modules[module.__name__] = module
    setattr(object_detection.protos, _MODULE, module)
    from object_detection.dataset_tools import create_oid_tf_record  # type: ignore[import-not-found]

    tf.gfile.Open = functools.partial(tf.gfile.Open, mode="rb")
    tf.app.run(create_oid_tf_record.main)


if __name__ == "__main__":
    main()
