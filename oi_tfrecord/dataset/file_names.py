"""File names."""

from oi_tfrecord import storage


def attribution_file(split: str) -> str:
    """Returns the name of a split's attribution file."""
    return f"ATTRIBUTION-{split}.csv"


LABEL_MAP_FILE = "label_map.pbtxt"

LABEL_MAP_CSV = "label_map.csv"


def rejects_file(split: str) -> str:
    """Returns the name of a split's list of rejects."""
    return f"rejects-{split}.csv"


def rejects_path(output_dir: str, split: str) -> str:
    """Returns where a split's list of rejects is."""
    return storage.join(output_dir, rejects_file(split))


MANIFEST_FILE = "manifest.json"

ENTRY_KEYS = (
    "config", "fingerprint", "balanced", "images", "tables", "totals", "inputs", "sources", "classes", "warnings",
    "shards",
)  # fmt: skip
"""What `build_split`, with what a plan adds, writes of every split."""


def weights_file(split: str) -> str:
    """Returns the name of a split's file of weights."""
    return f"weights-{split}.csv"
