"""Checks the classes of boxes and image labels of a record against the label map."""

from collections.abc import Iterator, Mapping, Sequence

from oi_tfrecord.records.keys import LABEL_PAIRS
from oi_tfrecord.verification.faults import FaultKind, Finding, show_bytes


def check_labels(lists: Mapping[str, list], label_ids: Mapping[bytes, int]) -> Iterator[Finding]:
    """Yields the faults of the classes of a record: at most one each for boxes, labels and machine labels.

    Args:
        lists: values of the keys whose kind and length are right, see `check_values`.
        label_ids: names of classes to label map ids.
    """
    for text_key, label_key in LABEL_PAIRS:
        if lists.get(text_key):
            yield from _check_texts(text_key, label_key, lists, label_ids)
        elif lists.get(label_key):
            yield from _check_ids(label_key, lists[label_key], label_ids)


def _check_texts(
    text_key: str, label_key: str, lists: Mapping[str, list], label_ids: Mapping[bytes, int]
) -> Iterator[Finding]:
    """Yields the first name that the label map lacks, or whose id in the record is not the one of the label map."""
    labels = lists.get(label_key)
    expected = [label_ids.get(text) for text in lists[text_key]]
    if labels == expected:
        return
    for index, (text, label_id) in enumerate(zip(lists[text_key], expected, strict=True)):
        if label_id is None:
            detail = f"value {index} is {show_bytes(text)}, which is not in the label map"
            yield Finding(FaultKind.BAD_LABEL, text_key, detail)
            return
        if labels is not None and labels[index] != label_id:
            detail = f"value {index} is {labels[index]}, and {show_bytes(text)} is {label_id} in the label map"
            yield Finding(FaultKind.BAD_LABEL, label_key, detail)
            return


def _check_ids(label_key: str, labels: Sequence[int], label_ids: Mapping[bytes, int]) -> Iterator[Finding]:
    """Yields the first id that the label map lacks; ids below 1 are out of range anyway."""
    known = set(label_ids.values())
    for index, label in enumerate(labels):
        if label >= 1 and label not in known:
            detail = f"value {index} is {label}, which is not in the label map"
            yield Finding(FaultKind.BAD_LABEL, label_key, detail)
            return
