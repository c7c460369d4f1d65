"""A label map as one value of a pipeline.

Bytes, because Beam's workers measure a side input for their cache, and walk over every object in it: with 20,000
classes that took as long as a dozen shards.
"""

import pickle
import threading

from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.label_map_claim import claim_label_map
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.records.label_map import LabelMap

_lock = threading.Lock()

_last: list[tuple[bytes, LabelMap]] = []


def pack(label_map: LabelMap) -> bytes:
    """Returns a label map as bytes."""
    return pickle.dumps(label_map)


def unpack(packed: bytes) -> LabelMap:
    """Returns the label map that `pack` made into bytes; the same object as the last time if it is the same."""
    # The threads of a process need it at the same time.
    with _lock:
        if not _last or _last[0][0] != packed:
            _last[:] = [(packed, pickle.loads(packed))]
        return _last[0][1]


def claim_packed(packed: bytes, output_dir: str, split: str) -> bytes:
    """Returns the packed label map when no other split of the output folder has another; see `claim_label_map`."""
    with relay_errors(WorkFolder.of(output_dir, split)):
        claim_label_map(output_dir, split, unpack(packed))
    return packed
