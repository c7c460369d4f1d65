"""What a training loop gets of a record, whichever way it reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from oi_tfrecord.records.example_reader import Values

SIDES = ("ymin", "xmin", "ymax", "xmax")
"""Order of the columns of `boxes`, as the Object Detection API, Model Garden and Keras' "rel_yxyx" have it."""

BOX_FLAGS = ("group_of", "occluded", "truncated", "depiction")

KINDS: Mapping[str, tuple[str, tuple[int | None, ...]]] = {
    "image_id": ("string", ()),
    "height": ("int64", ()),
    "width": ("int64", ()),
    "boxes": ("float32", (None, 4)),
    "labels": ("int64", (None,)),
    **dict.fromkeys(BOX_FLAGS, ("int64", (None,))),
    "image_labels": ("int64", (None,)),
    "image_confidences": ("float32", (None,)),
}
"""Of each value beside `image`: its dtype and shape, None for as many as there are.

`height` and `width` are the encoded image's, in pixels; `boxes` are normalised to [0, 1], origin top left;
`labels` and `image_labels` are ids of the label map; flags are 0 where the records have none.
"""


def sample_values(example: Mapping[str, Values]) -> dict[str, Any]:
    """Returns the values of a record but for its image; see `KINDS`.

    Args:
        example: as `parse_example` returns it.

    Raises:
        KeyError: naming a key of the Object Detection API that the record does not have.
    """

    def array(key: str) -> np.ndarray:
        values = example.get(key)
        return values if isinstance(values, np.ndarray) else np.zeros(0, np.int64)

    # An empty list may have come from a writer that gives it no kind.
    boxes = [array(f"image/object/bbox/{side}").astype(np.float32) for side in SIDES]
    labels = array("image/object/class/label")
    source_id = example["image/source_id"]
    values: dict[str, Any] = {
        "image_id": source_id[0] if source_id else b"",
        "height": np.int64(array("image/height")[0]),
        "width": np.int64(array("image/width")[0]),
        "boxes": np.stack(boxes, axis=-1),
        "labels": labels,
    }
    for name in BOX_FLAGS:
        flags = array(f"image/object/{name}")
        values[name] = flags if len(flags) else np.zeros(len(labels), np.int64)
    values["image_labels"] = array("image/class/label")
    confidences = example.get("image/class/confidence")
    # Records of others have no confidences: there each label is one of a class that is present.
    known = isinstance(confidences, np.ndarray) and len(confidences) == len(values["image_labels"])
    values["image_confidences"] = confidences if known else np.ones(len(values["image_labels"]), np.float32)
    return values
