"""Names of the files in the output folder, and of the entries of its manifest; shards: `records.shard_names`."""

import posixpath
import re

from oi_tfrecord import storage
from oi_tfrecord.records.shard_names import SINGLE_FILE_ENDINGS, parse_any_shard_file

MANIFEST_FILE = "manifest.json"

ENTRY_KEYS = (
    "config", "fingerprint", "balanced", "images", "tables", "totals", "inputs", "sources", "classes", "warnings",
    "shards",
)  # fmt: skip
"""Entries that the manifest has for every split: those of `build_split` and those of the plan."""

LABEL_MAP_FILE = "label_map.pbtxt"

LABEL_MAP_CSV = "label_map.csv"

INDEX_FOLDER = "index"

FEATURES_FILE = "features.json"

INFO_FILE = "dataset_info.json"

_SHARED_FILES = frozenset({MANIFEST_FILE, LABEL_MAP_FILE, LABEL_MAP_CSV, FEATURES_FILE, INFO_FILE})

_OF_SPLITS = re.compile(r"(rejects|ATTRIBUTION|weights)-.+\.csv|.+\.idx", re.DOTALL)


def rejects_file(split: str) -> str:
    """Returns the name of the CSV that lists the rejects of a split."""
    return f"rejects-{split}.csv"


def rejects_path(output_dir: str, split: str) -> str:
    """Returns the path of the CSV that lists the rejects of a split."""
    return storage.join(output_dir, rejects_file(split))


def attribution_file(split: str) -> str:
    """Returns the name of the CSV with the authors of the images of a split."""
    return f"ATTRIBUTION-{split}.csv"


def weights_file(split: str) -> str:
    """Returns the name of the CSV with the sampling weights of the records of a split."""
    return f"weights-{split}.csv"


def side_files(split: str) -> tuple[str, str, str]:
    """Returns the names of the CSV files that a run writes, or may write, for a split."""
    return rejects_file(split), attribution_file(split), weights_file(split)


def files_beside_shards(split: str) -> frozenset[str]:
    """Returns the names of all files that a run writes, or may write, beside the shards of a split."""
    return _SHARED_FILES | {*side_files(split)}


def is_dataset_file(name: str) -> bool:
    """Returns whether a base name is that of a file of a dataset: a shard, also a third-party one, or beside these."""
    return (
        name in _SHARED_FILES
        or bool(_OF_SPLITS.fullmatch(name))
        or name.endswith(SINGLE_FILE_ENDINGS)
        or parse_any_shard_file(name) is not None
    )


def list_dataset_files(output_dir: str) -> list[str]:
    """Returns the files of a dataset in its folder and in the folder of its index files."""
    folder = storage.escape(output_dir)
    found = [info.path for part in ((), (INDEX_FOLDER,)) for info in storage.match(storage.join(folder, *part, "*"))]
    return [path for path in found if is_dataset_file(posixpath.basename(path))]


def find_foreign_files(output_dir: str, split: str) -> list[str]:
    """Returns files with names that a run of a split would write, where no run has written yet.

    Runs leave a work folder until they write the manifest, so that a folder without both is not theirs.
    """
    folder = storage.escape(output_dir)
    if storage.match(storage.join(folder, ".oi_tfrecord-*", "*")):
        return []
    if storage.exists(storage.join(output_dir, MANIFEST_FILE)):
        return []
    names = files_beside_shards(split) - {MANIFEST_FILE}
    paths = [storage.join(output_dir, name) for name in sorted(names)]
    indexes = storage.match(storage.join(folder, INDEX_FOLDER, f"{storage.escape(split)}-*.idx"))
    return [*filter(storage.exists, paths), *(info.path for info in indexes)]
