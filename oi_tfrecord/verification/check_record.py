"""Checks one record against what its readers expect, and against itself."""

import dataclasses
from collections.abc import Mapping

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import ENCODED_KEY
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.record_id import image_id_of, name_in
from oi_tfrecord.verification.check_boxes import check_boxes
from oi_tfrecord.verification.check_image import check_image, check_image_id
from oi_tfrecord.verification.check_labels import check_labels
from oi_tfrecord.verification.check_values import check_values, find_missing_keys
from oi_tfrecord.verification.faults import FaultKind, Finding


@dataclasses.dataclass(frozen=True)
class RecordRules:
    """What records must hold.

    Attributes:
        ours: whether `oi-tfrecord convert` wrote them, so that more is known of them.
        required: keys that each record must have.
        label_ids: names of classes to label map ids; None where there is no label map, and classes are not checked.
        decode: whether to decode images.
        numeric_ids: whether source ids are numbers, so that only the file name has the ImageID.
        any_ids: whether ImageIDs may be names of any form.
        expanded_boxes: label map id to boxes that the Object Detection API makes of a box.
    """

    ours: bool
    required: tuple[str, ...] = (ENCODED_KEY,)
    label_ids: Mapping[bytes, int] | None = None
    decode: bool = False
    numeric_ids: bool = False
    any_ids: bool = False
    expanded_boxes: Mapping[int, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        ours: bool,
        required: tuple[str, ...],
        label_map: LabelMap | None,
        decode: bool,
        numeric_ids: bool = False,
        any_ids: bool = False,
    ) -> "RecordRules":
        """Returns the rules under a label map.

        The Object Detection API looks classes up by `name` first and by `display_name` second; our records have
        names (MIDs) only.
        """
        ids: dict[bytes, int] | None = None
        if label_map is not None:
            displayed = {} if ours else {item.display_name: item.id for item in label_map.items}
            ids = {name.encode(): label_id for name, label_id in (displayed | label_map.id_of).items()}
        expanded = label_map.expanded_boxes if label_map else {}
        return cls(ours, required, ids, decode, numeric_ids, any_ids, expanded)

    def image_id_of(self, features: Mapping[str, Values]) -> bytes:
        """Returns the ImageID of a record; empty if it names none."""
        return name_in(features) if self.ours and self.any_ids else image_id_of(features, self.ours)


def check_record(features: Mapping[str, Values], rules: RecordRules) -> list[Finding]:
    """Checks a record.

    Args:
        features: what `parse_example` made of the record.
        rules: what the record must hold.

    Returns:
        Its faults, for each key one of each kind.
    """
    findings = list(find_missing_keys(features, rules.required))
    lists, bad_values = check_values(features)
    findings += bad_values
    findings += check_boxes(lists, rules.ours, {finding.key for finding in findings})
    if rules.label_ids is not None:
        findings += check_labels(lists, rules.label_ids)
    findings += check_image(lists, rules.ours, rules.decode)
    if rules.ours:
        findings += check_image_id(lists, rules.numeric_ids, rules.any_ids)
    first: dict[tuple[FaultKind, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.kind, finding.key), finding)
    return list(first.values())
