"""Names of the files in the output folder, and of the entries of its manifest; shards: `records.shard_names`."""

from oi_tfrecord import storage

MANIFEST_FILE = "manifest.json"

ENTRY_KEYS = (
    "config", "fingerprint", "balanced", "images", "tables", "totals", "inputs", "sources", "classes", "warnings",
    "shards",
)  # fmt: skip
"""Entries that the manifest has for every split: those of `build_split` and those of the plan."""

LABEL_MAP_FILE = "label_map.pbtxt"

LABEL_MAP_CSV = "label_map.csv"


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
