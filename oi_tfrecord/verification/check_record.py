"""Checks one record against what its readers expect, and against itself."""

import dataclasses
import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from oi_tfrecord.images.check import find_image_fault
from oi_tfrecord.records.example_reader import _HEX_ID, Values
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    ENCODED_KEY,
    IS_CROWD_KEY,
    KNOWN_KEYS,
    LABEL_PAIRS,
    FeatureKind,
    ListLength,
    ValueRange,
)
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.verification.faults import FaultKind

SHA256_KEY = "image/key/sha256"

_AREA_KEY = "image/object/area"

_GROUP_OF_KEY = "image/object/group_of"

_AREA_TOLERANCE = 1e-5
"""Relative; float32 holds seven digits."""

_KINDS = {"f": FeatureKind.FLOAT, "i": FeatureKind.INT64}


class Finding(NamedTuple):
    """What is wrong with a key of a record."""

    kind: FaultKind
    key: str
    detail: str


@dataclasses.dataclass(frozen=True)
class RecordRules:
    """What records are held to.

    Attributes:
        ours: whether `oi-tfrecord convert` wrote them, so that more is known of them.
        required: keys that each must have.
        label_ids: MID to id in the label map; for records of others also display name to id, as the Object Detection
            API looks names up. None where there is no label map.
        decode: whether to decode images.
        numeric_ids: whether source ids are numbers, and only the file name tells the ImageID.
    """

    ours: bool
    required: tuple[str, ...] = (ENCODED_KEY,)
    label_ids: Mapping[bytes, int] | None = None
    decode: bool = False
    numeric_ids: bool = False

    @classmethod
    def of(
        cls,
        ours: bool,
        required: tuple[str, ...],
        label_map: LabelMap | None,
        decode: bool,
        numeric_ids: bool = False,
    ) -> "RecordRules":
        """Returns the rules under a label map."""
        ids: dict[bytes, int] | None = None
        if label_map is not None:
            displayed = {} if ours else {item.display_name: item.id for item in label_map.items}
            ids = {name.encode(): label_id for name, label_id in (displayed | label_map.id_of).items()}
        return cls(ours, required, ids, decode, numeric_ids)


def check_record(features: Mapping[str, Values], rules: RecordRules) -> list[Finding]:
    """Checks a record.

    Args:
        features: what `parse_example` made of it.
        rules: what it is held to.

    Returns:
        What is wrong; empty if nothing is. A key is told once of each kind.
    """
    findings = [
        Finding(FaultKind.KEY_MISSING, key, "every record must have it")
        for key in rules.required
        if features.get(key) is None
    ]
    usable = _check_values(features, findings)
    _check_boxes(usable, rules, findings)
    for text_key, label_key in LABEL_PAIRS:
        _check_labels(usable.get(text_key), usable.get(label_key), text_key, label_key, rules, findings)
    _check_encoded(usable, rules, findings)
    if rules.ours:
        _check_id(usable, rules, findings)
    first: dict[tuple[FaultKind, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.kind, finding.key), finding)
    return list(first.values())


def _check_values(features: Mapping[str, Values], findings: list[Finding]) -> dict[str, list]:
    """Checks kind, length and range of each known key; returns the keys of the right kind, as lists."""
    usable: dict[str, list] = {}
    by_length: dict[ListLength, dict[str, int]] = {
        ListLength.BOXES: {},
        ListLength.LABELS: {},
        ListLength.MACHINE_LABELS: {},
    }
    for key, values in features.items():
        known = KNOWN_KEYS.get(key)
        if known is None or values is None:
            continue
        kind = FeatureKind.BYTES if isinstance(values, list) else _KINDS[values.dtype.kind]
        if kind is not known.kind:
            findings.append(Finding(FaultKind.KEY_KIND, key, f"{kind} instead of {known.kind}"))
            continue
        listed: list = values if isinstance(values, list) else values.tolist()
        if known.length is ListLength.ONE:
            if len(listed) != 1:
                findings.append(Finding(FaultKind.KEY_LENGTH, key, f"{len(listed)} values instead of one"))
                continue
        elif known.length is not ListLength.ANY:
            by_length[known.length][key] = len(listed)
        usable[key] = listed
        if bad := _out_of_range(listed, known.range):
            findings.append(_bad_value(key, known.range, bad, listed))
    for lengths in by_length.values():
        if len(set(lengths.values())) > 1:
            findings.append(_lengths_differ(lengths))
            for key in lengths:
                del usable[key]
    return usable


def _out_of_range(values: Sequence, wanted: ValueRange) -> list[int]:
    """Returns the indices of values outside a range; no comparison holds for NaN."""
    match wanted:
        case ValueRange.FRACTION:
            return [index for index, value in enumerate(values) if not 0 <= value <= 1]
        case ValueRange.FLAG:
            return [index for index, value in enumerate(values) if value not in (0, 1)]
        case ValueRange.POSITIVE:
            return [index for index, value in enumerate(values) if value < 1]
        case ValueRange.NOT_NEGATIVE:
            return [index for index, value in enumerate(values) if not 0 <= value < math.inf]
    return []


def _bad_value(key: str, wanted: ValueRange, bad: Sequence[int], values: Sequence) -> Finding:
    kind = FaultKind.BAD_BOX if key in BBOX_KEYS else FaultKind.BAD_VALUE
    kind = FaultKind.BAD_LABEL if key.endswith("class/label") else kind
    told = {
        ValueRange.FRACTION: "not within [0, 1]",
        ValueRange.FLAG: "not 0 or 1",
        ValueRange.POSITIVE: "below 1",
        ValueRange.NOT_NEGATIVE: "negative or not finite",
    }[wanted]
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    return Finding(kind, key, f"value {bad[0]} is {values[bad[0]]!r}, {told}{more}")


def _lengths_differ(lengths: Mapping[str, int]) -> Finding:
    """Names the key that differs from most."""
    counts = list(lengths.values())
    usual = max(counts, key=counts.count)
    key = next(key for key, length in lengths.items() if length != usual)
    other = next(name for name, length in lengths.items() if length == usual)
    return Finding(FaultKind.KEY_LENGTH, key, f"{lengths[key]} values, and {other} has {usual}")


def _check_boxes(usable: Mapping[str, list], rules: RecordRules, findings: list[Finding]) -> None:
    present = [key for key in BBOX_KEYS if key in usable]
    if len(present) != len(BBOX_KEYS):
        if present and not any(finding.key in BBOX_KEYS for finding in findings):
            missing = next(key for key in BBOX_KEYS if key not in present)
            findings.append(Finding(FaultKind.KEY_MISSING, missing, "the other sides of the boxes are there"))
        return
    ymin, xmin, ymax, xmax = (usable[key] for key in BBOX_KEYS)
    for low_key, low, high in ((BBOX_KEYS[0], ymin, ymax), (BBOX_KEYS[1], xmin, xmax)):
        for index, (start, end) in enumerate(zip(low, high, strict=True)):
            # A box without area is rejected by convert, though readers survive it.
            if start > end or (rules.ours and start == end):
                findings.append(Finding(FaultKind.BAD_BOX, low_key, f"box {index} goes from {start!r} to {end!r}"))
                break
    if rules.ours:
        _check_derived(usable, (ymin, xmin, ymax, xmax), findings)


def _check_derived(usable: Mapping[str, list], sides: Sequence[list], findings: list[Finding]) -> None:
    """Checks the keys of ours that follow from others."""
    height, width, areas = usable.get("image/height"), usable.get("image/width"), usable.get(_AREA_KEY)
    if height and width and areas:
        pixels = height[0] * width[0]
        for index, (area, ymin, xmin, ymax, xmax) in enumerate(zip(areas, *sides, strict=True)):
            expected = (ymax - ymin) * (xmax - xmin) * pixels
            # The difference of two float32 is itself rounded, by up to the last digit of the larger.
            if abs(area - expected) > _AREA_TOLERANCE * abs(expected) + 2e-7 * pixels:
                detail = f"value {index} is {area:.6g}, and the box has {expected:.6g} pixels"
                findings.append(Finding(FaultKind.BAD_VALUE, _AREA_KEY, detail))
                break
    crowd, group = usable.get(IS_CROWD_KEY), usable.get(_GROUP_OF_KEY)
    if crowd is not None and group is not None and crowd != group:
        findings.append(Finding(FaultKind.BAD_VALUE, IS_CROWD_KEY, f"not equal to {_GROUP_OF_KEY}"))


def _check_labels(
    texts: list[bytes] | None,
    labels: list[int] | None,
    text_key: str,
    label_key: str,
    rules: RecordRules,
    findings: list[Finding],
) -> None:
    ids = rules.label_ids
    if ids is None:
        return
    if texts:
        expected = [ids.get(text) for text in texts]
        if labels is not None and expected == labels:
            return
        for index, (text, label_id) in enumerate(zip(texts, expected, strict=True)):
            if label_id is None:
                detail = f"value {index} is {_text(text)}, which is not in the label map"
                findings.append(Finding(FaultKind.BAD_LABEL, text_key, detail))
                return
            if labels is not None and labels[index] != label_id:
                detail = f"value {index} is {labels[index]}, and {_text(text)} is {label_id} in the label map"
                findings.append(Finding(FaultKind.BAD_LABEL, label_key, detail))
                return
    elif labels:
        known: Collection[int] = set(ids.values())
        for index, label in enumerate(labels):
            if label >= 1 and label not in known:
                detail = f"value {index} is {label}, which is not in the label map"
                findings.append(Finding(FaultKind.BAD_LABEL, label_key, detail))
                return


def _check_encoded(usable: Mapping[str, list], rules: RecordRules, findings: list[Finding]) -> None:
    encoded = usable.get(ENCODED_KEY)
    if encoded is None:
        return
    data = encoded[0]
    if stated := usable.get(SHA256_KEY):
        # The key may be there and empty: it is optional.
        digest = hashlib.sha256(data).hexdigest() if stated[0] or rules.ours else ""
        if digest.encode() != stated[0]:
            detail = f"{_text(stated[0])}, and {ENCODED_KEY} has {digest}"
            findings.append(Finding(FaultKind.IMAGE_SHA256, SHA256_KEY, detail))
    fault, size = find_image_fault(data, plain=rules.ours, decode=rules.decode)
    if fault:
        findings.append(Finding(FaultKind.BAD_IMAGE, ENCODED_KEY, fault))
    for key, pixels in (("image/width", size[0]), ("image/height", size[1])):
        if pixels and key in usable and usable[key][0] != pixels:
            findings.append(Finding(FaultKind.IMAGE_SIZE, key, f"{usable[key][0]}, and the image has {pixels}"))
    if rules.ours and (name := usable.get("image/format")) and name[0] != b"jpeg":
        findings.append(Finding(FaultKind.BAD_VALUE, "image/format", f"{_text(name[0])} instead of jpeg"))


def _check_id(usable: Mapping[str, list], rules: RecordRules, findings: list[Finding]) -> None:
    for key in ("image/filename", "image/source_id"):
        if key not in usable:
            return
    name, source_id = usable["image/filename"][0], usable["image/source_id"][0]
    if not _HEX_ID.fullmatch(name.removesuffix(b".jpg")):
        findings.append(Finding(FaultKind.BAD_IMAGE_ID, "image/filename", f"{_text(name)} is no <ImageID>.jpg"))
    elif rules.numeric_ids:
        if not source_id.isdigit():
            findings.append(Finding(FaultKind.BAD_IMAGE_ID, "image/source_id", f"{_text(source_id)} is no number"))
    elif source_id + b".jpg" != name:
        detail = f"{_text(source_id)}, and image/filename is {_text(name)}"
        findings.append(Finding(FaultKind.BAD_IMAGE_ID, "image/source_id", detail))


def _text(value: bytes) -> str:
    text = value[:80].decode("utf-8", "backslashreplace")
    return text if text.isprintable() and text else repr(text)
