"""The faults that `verify` finds in a dataset."""

import dataclasses
import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


class FaultKind(enum.StrEnum):
    """Kinds of faults, as they are counted."""

    FRAMING = "framing"
    """A record whose CRCs do not match, or bytes that are no record."""
    NOT_AN_EXAMPLE = "not_an_example"
    KEY_MISSING = "key_missing"
    KEY_KIND = "key_kind"
    KEY_LENGTH = "key_length"
    """Several values or none where one is expected, or lists of boxes or labels of different lengths."""
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
    SHARD_CRC32C = "shard_crc32c"
    SHARD_SHA256 = "shard_sha256"
    SHARD_RECORDS = "shard_records"
    COUNT = "count"
    """The manifest and the records disagree, or the manifest does not balance."""
    MANIFEST_MISSING = "manifest_missing"
    """Side files of a conversion are there, but no manifest describes the split."""
    LABEL_MAP = "label_map"
    REJECTS = "rejects"
    ATTRIBUTION = "attribution"
    WEIGHTS = "weights"
    INDEX = "index"
    """The index of a shard, a file of the folder `index`, contradicts the shard."""
    TFDS = "tfds"
    """The files of TensorFlow Datasets contradict the manifest or the records."""


@dataclasses.dataclass(frozen=True)
class RecordPlace:
    """Where a record is in its shard.

    Attributes:
        record: its number, from 0.
        offset: byte offset of its header.
        image_id: its ImageID, as far as it is known.
    """

    record: int
    offset: int
    image_id: bytes = b""


@dataclasses.dataclass(frozen=True)
class Finding:
    """A fault of a record, without the place of the record.

    Attributes:
        kind: kind of the fault.
        key: key of the Example; empty where the whole record is meant.
        detail: what was found and what was expected.
    """

    kind: FaultKind
    key: str
    detail: str


@dataclasses.dataclass(frozen=True, order=True)
class DatasetFault:
    """A fault and its place in the dataset.

    Attributes:
        split: name of the split; empty where the whole dataset is meant.
        file: base name of the shard, or of another file of the dataset.
        record: number of the record in the shard, from 0; -1 where the whole file is meant.
        offset: byte offset of the record's header in the shard; -1 where the whole file is meant.
        image_id: ImageID of the record, as far as it is known.
        key: key of the Example, or of the manifest (joined by dots); empty where all of them are meant.
        kind: kind of the fault.
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


def fault_of_record(split: str, file: str, place: RecordPlace, finding: Finding) -> DatasetFault:
    """Returns a fault of a record and the place of the record."""
    image_id = format_image_id(place.image_id)
    return DatasetFault(split, file, place.record, place.offset, image_id, finding.key, finding.kind, finding.detail)


def fault_of_file(split: str, file: str, kind: FaultKind, detail: str, key: str = "") -> DatasetFault:
    """Returns a fault of a whole file."""
    return DatasetFault(split, file, -1, -1, "", key, kind, detail)


def fault_from_values(values: Mapping[str, Any]) -> DatasetFault:
    """Returns the fault of which `values` are the attributes, from JSON."""
    return DatasetFault(**{**values, "kind": FaultKind(values["kind"])})


def format_image_id(image_id: bytes) -> str:
    """Returns an ImageID as text of at most 80 characters, whatever its bytes are."""
    return image_id[:80].decode("utf-8", "backslashreplace")


def show_bytes(value: bytes) -> str:
    """Returns the first 80 bytes of a value as text on one line, whatever the bytes are."""
    text = value[:80].decode("utf-8", "backslashreplace")
    return text if text.isprintable() and text else repr(text)


class FaultList:
    """Faults, of which the first are kept and all are counted."""

    def __init__(self, limit: int):
        """Makes an empty list.

        Args:
            limit: number of faults that are kept.
        """
        self._limit = limit
        self.kept: list[DatasetFault] = []
        self.counts: Counter[str] = Counter()

    def add(self, faults: Iterable[DatasetFault]) -> None:
        """Adds faults."""
        for fault in faults:
            self.counts[str(fault.kind)] += 1
            if len(self.kept) < self._limit:
                self.kept.append(fault)
