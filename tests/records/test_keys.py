"""Compares the known keys with the keys that the Object Detection API reads."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

from oi_tfrecord.records.keys import ALWAYS_WRITTEN, KNOWN_KEYS, FeatureKind, KeyReader
from tests.conftest import REPOSITORY

PROGRAM = """
import os
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
import json
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
from object_detection.protos import input_reader_pb2
decoder = TfExampleDecoder(load_instance_masks=True, instance_mask_type=input_reader_pb2.PNG_MASKS)
print(json.dumps({key: feature.dtype.name for key, feature in decoder.keys_to_features.items()}))
"""


def test_the_keys_of_the_object_detection_api_are_those_of_its_decoder(od_read: Callable[..., Any]) -> None:
    done = subprocess.run(
        [REPOSITORY / ".venv-peers" / "bin" / "python", "-c", PROGRAM],
        check=True,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    kinds = {"string": FeatureKind.BYTES, "float32": FeatureKind.FLOAT, "int64": FeatureKind.INT64}
    decoded = {key: kinds[name] for key, name in json.loads(done.stdout.splitlines()[-1]).items()}
    known_kinds = {key: known.kind for key, known in KNOWN_KEYS.items() if KeyReader.TRAINING in known.readers}
    assert known_kinds == {key: decoded.get(key) for key in known_kinds}
    # The API reads only channels and times beyond these keys, which Open Images does not have.
    assert all(key.startswith(("image/additional_channels", "image/timestamp")) for key in decoded.keys() - known_kinds)


def test_every_key_that_we_always_write_is_known() -> None:
    assert set(ALWAYS_WRITTEN) <= set(KNOWN_KEYS)
