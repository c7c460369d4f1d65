"""Fuzzes the reading of TFRecord files and Examples against TensorFlow.

python -m tests.fuzz.tfrecords --seconds=600

The first byte of an input chooses what the rest is: a TFRecord file as it is; a list of steps that frame
records and damage them; or a serialised Example.
"""

import io
import os
import struct
import tempfile
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import google_crc32c
import numpy as np

from oi_tfrecord.records.example_reader import ExampleError, parse_example
from oi_tfrecord.records.tfrecord import FramingError, frame, mask_crc, read_records
from tests.support.optional import tensorflow as tf

MAX_BYTES = 600
DICTIONARY = (
    b"\x0a\x03key", b"\x0a\x05image", b"\x12\x04\x1a\x02\x08\x01", b"\x12\x08\x12\x06\x0a\x04\x00\x00\x80\x3f",
    b"\x12\x05\x0a\x03\x0a\x01x", b"\x0a\x00", b"\x12\x00", b"\x1a\x00", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x00", b"\x0b\x0c", b"\x00" * 8, b"\xd8\xea\x82\xa2", b"\xc3\x28",
)  # fmt: skip

_FILE, _STEPS, _EXAMPLE = range(3)
_KINDS = {"bytes_list": tf.string, "float_list": tf.float32, "int64_list": tf.int64}
_PATH = os.path.join(tempfile.mkdtemp(prefix="oi-tfrecord-fuzz-"), "file.tfrecord")


def seeds() -> list[bytes]:
    """Returns whole and damaged files, and Examples of every kind of feature, packed and not."""
    examples = [
        _example(),
        _example(key=tf.train.Feature()),
        _example(image=_feature(bytes_list=[b"x", b"", b"\xff\xd8"]), key=_feature(int64_list=[1, -1, 1 << 62])),
        _example(é=_feature(float_list=[0.0, -0.0, float("inf"), float("nan"), 1e-45])),
        _example(a=_feature(int64_list=[]), b=_feature(bytes_list=[]), c=_feature(float_list=[])),
    ]
    # A float and an integer of their own, as the encoding before `packed` had them.
    unpacked = b"\x0a\x14\x0a\x12\x0a\x01f\x12\x0d\x12\x0b\x0d\x00\x00\x80\x3f\x0d\x00\x00\x00\x40\x0a"
    examples += [unpacked[:-1], b"\x0a\x0d\x0a\x0b\x0a\x01i\x12\x06\x1a\x04\x08\x01\x08\x02"]
    whole = b"".join(b"".join((before, data, after)) for data in examples for before, after in [frame([data])])
    files = [b"", whole, whole[:-1], whole[:5], whole[:12], whole[:40] + b"\0" + whole[41:], b"\0" * 16]
    steps = [b"\x05hello\x00\x85\x01x\x03abc", b"\x40\x02\x03\xc0", b"\x03abc\x41\x07", b"\x03abc\x81\xff\xff\xff\x7f"]
    inputs = [bytes([_FILE]) + file for file in files]
    inputs += [bytes([_STEPS]) + step for step in steps]
    return inputs + [bytes([_EXAMPLE]) + example for example in examples]


def check(data: bytes) -> None:
    """Checks one input; see the module."""
    if not data:
        return
    match data[0] % 3:
        case 0:
            _check_file(data[1:])
        case 1:
            _check_file(_built(data[1:]))
        case _:
            _check_example(data[1:])


def _built(steps: bytes) -> bytes:
    """Returns the file that steps describe: below 64 a record of so many bytes, then ways to damage the file."""
    file = bytearray()
    at = 0
    while at < len(steps):
        step = steps[at]
        given = steps[at + 1 : at + 1 + step % 64]
        at += 1 + len(given)
        if step < 64:
            before, after = frame([given[: step // 2], given[step // 2 :]])
            file += before + given + after
        elif step < 128:
            del file[max(len(file) - step % 64, 0) :]
        elif step < 192 and file:
            for value in given:
                file[value % len(file)] ^= value or 1
        else:
            # A length that its checksum confirms, whatever follows.
            length = struct.pack("<Q", int.from_bytes(given[:4], "little"))
            file += length + struct.pack("<I", mask_crc(google_crc32c.value(length))) + given[4:]
    return bytes(file)


def _check_file(data: bytes) -> None:
    ours: list[bytes] = []
    ending = ""
    failed_at = None
    try:
        for offset, record in read_records(io.BytesIO(data)):
            assert data[offset + 12 : offset + 12 + len(record)] == record
            ours.append(record)
    except FramingError as error:
        failed_at, ending = error.record, error.problem
    assert failed_at in (None, len(ours))
    # TensorFlow takes the memory for a record of any length that its checksum confirms.
    if _longest(data) > 1 << 20:
        return
    with open(_PATH, "wb") as file:
        file.write(data)
    theirs = []
    failed = False
    try:
        for record in tf.compat.v1.io.tf_record_iterator(_PATH):
            theirs.append(record)
    except tf.errors.DataLossError:
        failed = True
    assert ours == theirs, f"{ours} != {theirs}"
    # TensorFlow takes fewer bytes at the end than a header has for the end of the file.
    lax = ending.startswith("header cut off")
    assert (bool(ending) and not lax) == failed, f"{ending!r}, TensorFlow {'fails' if failed else 'does not fail'}"
    rewritten = b"".join(b"".join((before, record, after)) for record in ours for before, after in [frame([record])])
    assert data.startswith(rewritten)
    assert ending or data == rewritten


def _longest(data: bytes) -> int:
    longest = at = 0
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if data[at + 8 : at + 12] != struct.pack("<I", mask_crc(google_crc32c.value(data[at : at + 8]))):
            break
        longest = max(longest, length)
        at += 16 + length
    return longest


def _check_example(data: bytes) -> None:
    try:
        found = parse_example(data)
    except ExampleError:
        found = None
    try:
        message = tf.train.Example.FromString(data)
    except Exception:
        message = None
    assert (found is None) == (message is None), f"{found} and {message}"
    if found is None or message is None:
        return
    features = message.features.feature
    assert list(found) == sorted(features)
    spec: dict[str, Any] = {}
    for key, values in found.items():
        kind = features[key].WhichOneof("kind")
        if kind is None:
            assert values is None
            continue
        expected = getattr(features[key], kind).value
        if kind == "bytes_list":
            assert values == list(expected)
        else:
            dtype = np.float32 if kind == "float_list" else np.int64
            assert isinstance(values, np.ndarray)
            assert values.dtype == dtype
            assert values.tobytes() == np.array(expected, dtype).tobytes()
        spec[key] = tf.io.RaggedFeature(_KINDS[kind])
    # TensorFlow's own parser takes no unknown fields.
    message.DiscardUnknownFields()
    if spec and len(spec) <= 4:
        _check_fast_parser(message.SerializeToString(deterministic=True), found, spec)


def _check_fast_parser(data: bytes, found: dict[str, Any], spec: dict[str, Any]) -> None:
    """Compares with TensorFlow's own parser of Examples, which the input pipelines use."""
    for key, ragged in tf.io.parse_single_example(data, spec).items():
        values = ragged.numpy()
        if isinstance(found[key], list):
            assert values.tolist() == found[key], key
        else:
            assert values.tobytes() == found[key].tobytes(), key


def _feature(**lists: list[Any]) -> tf.train.Feature:
    kinds = {
        "bytes_list": tf.train.BytesList,
        "float_list": tf.train.FloatList,
        "int64_list": tf.train.Int64List,
    }
    return tf.train.Feature(**{name: kinds[name](value=values) for name, values in lists.items()})


def _example(**features: tf.train.Feature) -> bytes:
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))


if __name__ == "__main__":
    from tests.fuzz import engine

    engine.main("tests.fuzz.tfrecords")
