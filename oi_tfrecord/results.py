"""What the work on a range and on a shard reports; the manifest is their sum."""

import dataclasses
import json
from typing import Any

from oi_tfrecord.reasons import Reject


@dataclasses.dataclass(frozen=True)
class RangeResult:
    """What became of the rows of one CSV range.

    Attributes:
      table, file, index: the range.
      start, end: what of the file it is: bytes of a CSV file as it is unpacked, files of an archive.
      crc32c: of its bytes.
      line_count: lines in it.
      rows_read: rows in it.
      rejected: rejected rows by reason.
      dropped: dropped rows by reason.
      class_rows: MID to usable rows, of the table whose classes are counted; empty for the others.
      ends_open: whether its last line lacks a line end.
      is_last: whether the file ends with it.
      damage: what is wrong with the archive that the range is of; empty if nothing is.
      values: rows by value of the column that a filter names values of (`count_values`); empty if none does.
      found_ids: which ImageIDs of the list to keep are in it (`pack_found`); empty without a list.
      shuffled_bytes: of its rows as they were handed on; for estimates only, as a rerun hands on fewer.
      cpu_seconds: that it took; for estimates only.
    """

    table: str
    file: int
    index: int
    start: int
    end: int
    crc32c: int
    line_count: int
    rows_read: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    class_rows: dict[str, int]
    ends_open: bool
    is_last: bool
    damage: str = ""
    values: dict[str, int] = dataclasses.field(default_factory=dict)
    found_ids: str = ""
    shuffled_bytes: int = 0
    cpu_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class TableCount:
    """What became of a table's rows in one shard: `written` of them are in its records, with `added` that follow."""

    written: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    added: int = 0


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What became of one shard.

    Attributes:
      shard: its number.
      file: its file name.
      size: its bytes.
      sha256: of the file.
      records: records in it.
      images_selected: images that the configuration selects.
      images_not_selected: images that it leaves out.
      images_rejected: selected images without a record, by reason.
      image_bytes: bytes of the images in the records.
      images_reencoded: images not copied as they were, by source format.
      tables: by table name.
      boxes_per_class: label map id (as text) to boxes.
      positive_per_class: label map id (as text) to human labels that say the class is there.
      negative_per_class: label map id (as text) to human labels that say it is not.
      sources: table name to source to rows.
      unknown_flags: flags of -1 that were written as 0.
      most_boxes: boxes of the image that has most.
      images_over_100_boxes: images with more boxes than the Object Detection API reads by default.
      image_counts: images in the records that were `stripped` of metadata, `resized`, `turned`, whose
        `rotation_unknown`, or whose `source_id_moved` from a number that another image has.
      cpu_seconds: that it took; for estimates only.
    """

    shard: int
    file: str
    size: int
    sha256: str
    records: int
    images_selected: int
    images_not_selected: int
    images_rejected: dict[str, int]
    image_bytes: int
    images_reencoded: dict[str, int]
    tables: dict[str, TableCount]
    boxes_per_class: dict[str, int]
    positive_per_class: dict[str, int]
    negative_per_class: dict[str, int]
    sources: dict[str, dict[str, int]]
    unknown_flags: int
    most_boxes: int
    images_over_100_boxes: int
    image_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    cpu_seconds: float = 0.0

    @property
    def listed_rejects(self) -> int:
        """Rejects that the rejects file lists; rows of an image that is rejected itself are only counted."""
        rows = sum(
            count
            for table in self.tables.values()
            for reason, count in table.rejected.items()
            if reason != Reject.IMAGE_REJECTED
        )
        return rows + sum(self.images_rejected.values())


def to_json(result: RangeResult | ShardResult) -> bytes:
    """Returns a result as JSON, its kind under `kind`."""
    # Not dataclasses.asdict: it copies every count of every class, which took a third of a join.
    values = vars(result) | {"kind": type(result).__name__}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=vars).encode()


def from_json(data: bytes) -> RangeResult | ShardResult:
    """Returns the result that `to_json` made into `data`."""
    values: dict[str, Any] = json.loads(data)
    if values.pop("kind") == "RangeResult":
        return RangeResult(**values)
    values["tables"] = {name: TableCount(**count) for name, count in values["tables"].items()}
    return ShardResult(**values)
