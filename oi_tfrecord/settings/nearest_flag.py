"""The flag that a person may have meant by one that does not exist."""

from collections.abc import Iterable

from oi_tfrecord.errors import nearest

_OUTPUTS = ("output_dir", "output", "to")

_MEANINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("output_dir", "output", "to", "out", "dest", "dest_dir", "save_dir"), _OUTPUTS),
    **dict.fromkeys(("max_samples", "limit", "num_images"), ("max_images",)),
    **dict.fromkeys(("input_dir", "dataset_dir", "csv_dir"), ("data_dir",)),
    **dict.fromkeys(("jobs", "threads", "num_processes"), ("workers",)),
}
"""Names that other commands and programs (FiftyOne, OIDv4_ToolKit, TFDS) have, to those that mean the same here."""


def nearest_flag(name: str, own: Iterable[str], others: Iterable[str] = ()) -> str:
    """Returns `; did you mean '--x'?` for the flag that is meant, or an empty string.

    Args:
        name: what was given, with or without dashes.
        own: flags of the command, without dashes.
        others: further flags that the command takes, such as Beam's, without dashes.
    """
    bare = name.lstrip("-").replace("-", "_")
    flags = ["help", *own]
    meant = [flag for flag in _MEANINGS.get(bare, ()) if flag in flags]
    if meant:
        return f"; did you mean '--{meant[0]}'?"
    hint = nearest(bare, flags) or nearest(bare, others)
    return hint.replace("'", "'--", 1)
