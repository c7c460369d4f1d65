"""The files by which TensorFlow Datasets reads a folder of records: `features.json` and `dataset_info.json`.

`tfds.builder_from_directory` needs nothing else. Both are JSON forms of protocol buffers of TensorFlow Datasets
(core/proto/feature.proto and core/proto/dataset_info.proto, 4.9.10), written here without TensorFlow.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import FEATURES_FILE, INFO_FILE
from oi_tfrecord.dataset.splits import read_shard
from oi_tfrecord.records.example_reader import ExampleError, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY, KNOWN_KEYS, MASK_KEY, FeatureKind, ListLength
from oi_tfrecord.records.tfrecord import FramingError

FILE_PATTERN = "{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
"""The names of our shards in the words of TensorFlow Datasets, whose default puts the name of the dataset first."""

_FEATURES = "tensorflow_datasets.core.features"

_DTYPES = {FeatureKind.BYTES: "string", FeatureKind.FLOAT: "float32", FeatureKind.INT64: "int64"}


def describe_features(keys_of_splits: Iterable[Iterable[str]]) -> dict[str, Any]:
    """Returns the content of `features.json`.

    Args:
        keys_of_splits: for each split with records, the keys of its records. A list that only some splits have is
            empty in the others; a single value that only some splits have cannot be described and is left out.
    """
    splits = [frozenset(keys) for keys in keys_of_splits]
    common = frozenset.intersection(*splits) if splits else frozenset()
    known = sorted({key for keys in splits for key in keys} & KNOWN_KEYS.keys())
    keys = [key for key in known if key in common or KNOWN_KEYS[key].length is not ListLength.ONE]
    features = {key: _describe_feature(key) for key in keys}
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }


def _describe_feature(key: str) -> dict[str, Any]:
    """Returns a feature: the image and the masks are decoded, every other key is a tensor."""
    if key == ENCODED_KEY:
        return _describe_image("jpeg", 3)
    if key == MASK_KEY:
        masks = {"feature": _describe_image("png", 1), "length": "-1"}
        return {"pythonClassName": f"{_FEATURES}.sequence_feature.Sequence", "sequence": masks}
    known = KNOWN_KEYS[key]
    shape: dict[str, list[str]] = {} if known.length is ListLength.ONE else {"dimensions": ["-1"]}
    tensor = {"shape": shape, "dtype": _DTYPES[known.kind], "encoding": "none"}
    return {"pythonClassName": f"{_FEATURES}.tensor_feature.Tensor", "tensor": tensor}


def _describe_image(encoding: str, channels: int) -> dict[str, Any]:
    image = {"shape": {"dimensions": ["-1", "-1", str(channels)]}, "dtype": "uint8", "encodingFormat": encoding}
    return {"pythonClassName": f"{_FEATURES}.image_feature.Image", "image": image}


def describe_info(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the content of `dataset_info.json`; `splits` are the entries of the manifest by name."""
    return {
        "name": "oi_tfrecord",
        "version": "1.0.0",
        "description": "Open Images, written by oi_tfrecord",
        "fileFormat": "tfrecord",
        "splits": [_describe_split(name, entry) for name, entry in sorted(splits.items())],
    }


def _describe_split(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    shards = entry.get("shards", ())
    return {
        "name": name,
        "numBytes": str(sum(shard["bytes"] for shard in shards)),
        "shardLengths": [str(shard["records"]) for shard in shards],
        "filepathTemplate": FILE_PATTERN,
    }


def read_keys(output_dir: str, entry: Mapping[str, Any]) -> frozenset[str]:
    """Returns the keys of the first record of a split, which are those of all its records; none without a record.

    Args:
        output_dir: folder of the dataset.
        entry: the split's entry in the manifest.

    A damaged or missing shard is a fault that `verify` finds, and no reason to lose the split that is written now. A
    storage that fails is raised, as the last step is tried again.
    """
    first = next((shard["file"] for shard in entry.get("shards", ()) if shard["records"]), "")
    path = storage.join(output_dir, first)
    if not first or not storage.exists(path):
        return frozenset()
    with contextlib.suppress(FramingError, ExampleError):
        for _, data in read_shard(path):
            return frozenset(parse_example(data))
    return frozenset()


def write_tfds_files(output_dir: str, splits: Mapping[str, Mapping[str, Any]], temporary_folder: str) -> None:
    """Writes the files for all splits of a folder, or deletes them if there is no split.

    Args:
        output_dir: folder of the dataset.
        splits: the entries of the manifest by name.
        temporary_folder: see `storage.create`.
    """
    keys = [keys for entry in splits.values() if (keys := read_keys(output_dir, entry))]
    for name, content in ((FEATURES_FILE, describe_features(keys)), (INFO_FILE, describe_info(splits))):
        path = storage.join(output_dir, name)
        data = json.dumps(content, indent=1).encode() + b"\n"
        # An engine may do the last step twice: the second time must not delete what the first wrote, and then fail.
        if splits and storage.exists(path) and storage.read(path) == data:
            continue
        if not splits or not storage.replaces_at_once(path):
            storage.delete(path)
        if splits:
            storage.write(path, data, temporary_folder)


def write_missing_tfds_files(output_dir: str, splits: Mapping[str, Mapping[str, Any]], temporary_folder: str) -> None:
    """Writes the files if one is missing: a run may end between the deletion of a file and its replacement.

    The arguments are those of `write_tfds_files`.
    """
    if not all(storage.exists(storage.join(output_dir, name)) for name in (FEATURES_FILE, INFO_FILE)):
        storage.make_folder(temporary_folder)
        write_tfds_files(output_dir, splits, temporary_folder)
