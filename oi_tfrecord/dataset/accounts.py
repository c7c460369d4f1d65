"""What the work on a range and on a shard reports; the manifest is their sum."""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.reasons import Reject
from oi_tfrecord.storage.read_ahead import map_in_order

_LOCAL_THREADS, _REMOTE_THREADS = 1, 32

_AHEAD_BYTES = 16 << 20


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


class ShardEntry(NamedTuple):
    """What the manifest tells of one shard alone."""

    shard: int
    file: str
    records: int
    size: int
    sha256: str


@dataclasses.dataclass
class TableSum:
    """What became of a table's rows in shards; see TableCount."""

    written: int = 0
    added: int = 0
    rejected: Counter[str] = dataclasses.field(default_factory=Counter)
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)


@dataclasses.dataclass
class Totals:
    """The sum of results, to which more are added in any order.

    A shard takes about 350 bytes of it, a range 650, and with a list of ImageIDs some for each of them in it. The
    fields that are not described are the sums of those of ShardResult.

    Attributes:
        ranges: results of ranges, without their rows of each class.
        class_rows: the sum of those, by MID.
        shards: the shards.
        most_boxes: the largest of any.
        cpu_seconds: of shards and ranges; the only sum that rounds.
    """

    ranges: list[RangeResult] = dataclasses.field(default_factory=list)
    class_rows: Counter[str] = dataclasses.field(default_factory=Counter)
    shards: list[ShardEntry] = dataclasses.field(default_factory=list)
    images_selected: int = 0
    images_not_selected: int = 0
    image_bytes: int = 0
    unknown_flags: int = 0
    most_boxes: int = 0
    images_over_100_boxes: int = 0
    cpu_seconds: float = 0.0
    images_rejected: Counter[str] = dataclasses.field(default_factory=Counter)
    images_reencoded: Counter[str] = dataclasses.field(default_factory=Counter)
    image_counts: Counter[str] = dataclasses.field(default_factory=Counter)
    boxes_per_class: Counter[str] = dataclasses.field(default_factory=Counter)
    positive_per_class: Counter[str] = dataclasses.field(default_factory=Counter)
    negative_per_class: Counter[str] = dataclasses.field(default_factory=Counter)
    tables: defaultdict[str, TableSum] = dataclasses.field(default_factory=lambda: defaultdict(TableSum))
    sources: defaultdict[str, Counter[str]] = dataclasses.field(default_factory=lambda: defaultdict(Counter))

    @classmethod
    def of(cls, results: Iterable[RangeResult | ShardResult]) -> "Totals":
        """Returns the sum of results."""
        totals = cls()
        for result in results:
            totals.add(result)
        return totals

    @property
    def records(self) -> int:
        """Records in all shards."""
        return sum(entry.records for entry in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(entry.size for entry in self.shards)

    def add(self, result: RangeResult | ShardResult) -> None:
        """Adds the result of a range or of a shard."""
        if isinstance(result, RangeResult):
            self.class_rows.update(result.class_rows)
            self.ranges.append(dataclasses.replace(result, class_rows={}))
            self.cpu_seconds += result.cpu_seconds
            return
        self.shards.append(ShardEntry(result.shard, result.file, result.records, result.size, result.sha256))
        self.images_selected += result.images_selected
        self.images_not_selected += result.images_not_selected
        self.image_bytes += result.image_bytes
        self.unknown_flags += result.unknown_flags
        self.most_boxes = max(self.most_boxes, result.most_boxes)
        self.images_over_100_boxes += result.images_over_100_boxes
        self.cpu_seconds += result.cpu_seconds
        self.images_rejected.update(result.images_rejected)
        self.images_reencoded.update(result.images_reencoded)
        self.image_counts.update(result.image_counts)
        self.boxes_per_class.update(result.boxes_per_class)
        self.positive_per_class.update(result.positive_per_class)
        self.negative_per_class.update(result.negative_per_class)
        for name, count in result.tables.items():
            table = self.tables[name]
            table.written += count.written
            table.added += count.added
            table.rejected.update(count.rejected)
            table.dropped.update(count.dropped)
        for name, sources in result.sources.items():
            self.sources[name].update(sources)


def sum_results(work: WorkFolder, ranges: Iterable[RangeResult], shards: Collection[int]) -> Totals:
    """Adds up the results of a conversion, a subset or a merge; one of a shard is held at a time.

    Args:
        work: where shards left their results.
        ranges: results of all ranges; of records that others have there are none.
        shards: the shards.
    """
    totals = Totals.of(ranges)
    stored = map_in_order(
        work.read_result,
        sorted(shards),
        threads=_LOCAL_THREADS if storage.is_local(work.path) else _REMOTE_THREADS,
        max_bytes=_AHEAD_BYTES,
        size_of=len,
    )
    for data in stored:
        totals.add(from_json(data))
    return totals


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
