"""The sum of what ranges and shards report, as they come: its size is that of the classes, not of the results."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from oi_tfrecord.results import RangeResult, ShardResult


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
