"""Converts the Open Images dataset to TensorFlow training records."""

__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    """Gives `load` and `RecordDataset` when they are asked for: the package itself stays light to import."""
    import importlib

    homes = {"load": "oi_tfrecord.dataset.tf_dataset", "RecordDataset": "oi_tfrecord.dataset.record_dataset"}
    if name in homes:
        return getattr(importlib.import_module(homes[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
