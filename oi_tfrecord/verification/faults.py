"""What `verify` finds wrong with a dataset."""

import dataclasses
import enum


class FaultKind(enum.StrEnum):
    """Kinds of faults, as they are counted."""

    FRAMING = "framing"
    """A record whose CRCs do not match, or bytes that are no record."""
    NOT_AN_EXAMPLE = "not_an_example"
    KEY_MISSING = "key_missing"
    KEY_KIND = "key_kind"
    KEY_LENGTH = "key_length"
    """A single value that is none or several, or lists of boxes or labels of different lengths."""
    BAD_VALUE = "bad_value"
    BAD_BOX = "bad_box"
    BAD_LABEL = "bad_label"
    BAD_IMAGE_ID = "bad_image_id"
    BAD_IMAGE = "bad_image"
    IMAGE_SIZE = "image_size"
    IMAGE_SHA256 = "image_sha256"
    DUPLICATE_IMAGE = "duplicate_image"
    OUT_OF_ORDER = "out_of_order"
    WRONG_SHARD = "wrong_shard"
    SHARD_MISSING = "shard_missing"
    SHARD_UNREADABLE = "shard_unreadable"
    SHARD_STALE = "shard_stale"
    SHARD_SIZE = "shard_size"
    SHARD_SHA256 = "shard_sha256"
    SHARD_RECORDS = "shard_records"
    COUNT = "count"
    """The manifest and the records disagree, or the manifest does not balance."""
    LABEL_MAP = "label_map"
    REJECTS = "rejects"


@dataclasses.dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        split: name of the split; empty for what concerns them all.
        file: base name of the shard, or of another file of the dataset.
        record: number of the record in the shard, from 0; -1 where it is about the whole file.
        offset: byte offset of the record's header in the shard; -1 as above.
        image_id: of the record, as far as it is known.
        key: of the Example, or of the manifest (joined by dots); empty where it is about all of them.
        kind: what sort of fault.
        detail: what was found and what was expected.
    """

    split: str
    file: str
    record: int
    offset: int
    image_id: str
    key: str
    kind: FaultKind
    detail: str

    def __str__(self) -> str:
        where = [self.file or self.split]
        if self.record >= 0:
            where.append(f"record {self.record} at byte {self.offset}")
        if self.image_id:
            where.append(self.image_id)
        if self.key:
            where.append(self.key)
        return f"{', '.join(where)}: {self.kind}: {self.detail}"


def fault_of_file(split: str, file: str, kind: FaultKind, detail: str, key: str = "") -> Fault:
    """Returns a fault that is no single record's."""
    return Fault(split, file, -1, -1, "", key, kind, detail)
