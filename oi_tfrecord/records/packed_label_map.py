"""A label map as one value of a pipeline.

The value is bytes, because Beam's workers measure a side input for their cache, and walk over every object in it: with
20,000 classes that took as long as a dozen shards.
"""

import pickle
import threading

from oi_tfrecord.records.label_map import LabelMap


def pack(label_map: LabelMap) -> bytes:
    """Returns a label map as bytes."""
    return pickle.dumps(label_map)


def unpack(packed: bytes) -> LabelMap:
    """Returns the label map that `pack` made into bytes; equal bytes give the same object as the last time."""
    return _unpacked.of(packed)


class _Unpacked:
    """The label map that was unpacked last, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packed = b""
        self._label_map = LabelMap(())

    def of(self, packed: bytes) -> LabelMap:
        with self._lock:
            if self._packed != packed:
                self._label_map, self._packed = pickle.loads(packed), packed
            return self._label_map


_unpacked = _Unpacked()
