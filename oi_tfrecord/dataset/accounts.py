"""Accounts: what became of the rows of one range and of the images of one shard. The manifest is their sum."""

import dataclasses
import functools
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from oi_tfrecord import storage
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.reasons import Reject
from oi_tfrecord.records.class_counts import ClassCountSum, pack_mapping
from oi_tfrecord.storage.read_ahead import map_in_order

_LOCAL_THREADS, _REMOTE_THREADS = 1, 64

_AHEAD_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class RangeAccount:
    """What became of the rows of one range of an input file.

    Attributes:
        table: Table of the file.
        file: Number of the file among those of the table.
        index: Number of the range in the file.
        start: Where the range begins: a byte offset in the unpacked CSV file, or a number of files of an archive.
        end: Where the range ends, in the same unit.
        crc32c: CRC-32C of its bytes.
        line_count: Lines in it.
        rows_read: Rows in it.
        rejected: Rejected rows by reason.
        dropped: Dropped rows by reason.
        class_rows: MID to usable rows, for the table whose classes are counted; empty for other tables.
        ends_open: Whether its last line lacks a line end.
        is_last: Whether the file ends with it.
        damage: What is wrong with the archive of the range; empty for an intact one.
        values: Rows by value of the column of a value filter (`count_values`); empty without such a filter.
        found_ids: Which ImageIDs of the list to keep are in the range (`pack_found`); empty without a list.
        shuffled_bytes: Bytes of its rows on their way to the join; only for estimates, as a resumed run sends fewer.
        cpu_seconds: Processor time; only for estimates.
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
class TableAccount:
    """What became of the rows of one table in one shard.

    Attributes:
        written: Rows of the table's files that are in the records.
        rejected: Rejected rows by reason.
        dropped: Dropped rows by reason.
        added: Rows in the records that follow from the class hierarchy, in addition to `written`.
    """

    written: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    added: int = 0


@dataclasses.dataclass(frozen=True)
class ShardAccount:
    """What became of the images of one shard.

    Attributes:
        shard: Number of the shard.
        file: Name of its file.
        size: Bytes of the file.
        crc32c: CRC-32C of the file, 8 hex digits; empty in the accounts of versions that took a SHA-256 alone.
        records: Records in it.
        images_selected: Images that the configuration selects.
        images_not_selected: Images that the configuration leaves out.
        images_rejected: Selected images without a record, by reason.
        images_skipped: Selected images that are left out as they are not there, by reason.
        image_bytes: Bytes of the images in the records.
        images_reencoded: Images not copied byte for byte, by source format.
        tables: Account of each table by its name.
        boxes_per_class: Boxes by label map id (`class_counts.pack_counts`).
        positive_per_class: Human labels that say the class is there, likewise.
        negative_per_class: Human labels that say the class is not there, likewise.
        sources: Table name to source to rows.
        unknown_flags: Flags of -1 that were written as 0.
        most_boxes: Boxes of the image with most boxes.
        most_expanded_boxes: Boxes of the image with most boxes after the expansion by the label map's ancestors.
        images_over_100_boxes: Images with more boxes than the Object Detection API reads by default.
        image_counts: Images in the records that were `stripped` of metadata, `resized`, `turned`, whose
            `rotation_unknown`, or whose `source_id_moved` from a number that another image has.
        conversion: Digest of the fingerprint of the conversion that wrote the shard; empty for records from records.
        to_try_again: ImageID to reason of the images without a record that may be there in another run.
        rejects: Its piece of the list of rejects (`rejects_csv.format_piece`).
        sha256: Hex digest of the file; empty unless it is wanted.
        cpu_seconds: Processor time; only for estimates.
        read_seconds: Time that threads waited for the bytes of images; only for the runner's metrics.
    """

    shard: int
    file: str
    size: int
    crc32c: str
    records: int
    images_selected: int
    images_not_selected: int
    images_rejected: dict[str, int]
    image_bytes: int
    images_reencoded: dict[str, int]
    tables: dict[str, TableAccount]
    boxes_per_class: str
    positive_per_class: str
    negative_per_class: str
    sources: dict[str, dict[str, int]]
    unknown_flags: int
    most_boxes: int
    most_expanded_boxes: int
    images_over_100_boxes: int
    image_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    images_skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    conversion: str = ""
    to_try_again: dict[str, str] = dataclasses.field(default_factory=dict)
    rejects: str = ""
    sha256: str = ""
    cpu_seconds: float = 0.0
    read_seconds: float = dataclasses.field(default=0.0, compare=False)

    @property
    def listed_rejects(self) -> int:
        """Rejects that the rejects file lists; the rows of a rejected image are counted, not listed."""
        rows = sum(
            count
            for table in self.tables.values()
            for reason, count in table.rejected.items()
            if reason != Reject.IMAGE_REJECTED
        )
        return rows + sum(self.images_rejected.values())


class ShardFile(NamedTuple):
    """The part of a shard's account that the manifest lists for each shard."""

    shard: int
    file: str
    records: int
    size: int
    crc32c: str
    sha256: str = ""

    def describe(self) -> dict[str, str | int]:
        """Returns what the manifest says of the shard: the checksums that were computed."""
        checksums = {"crc32c": self.crc32c, "sha256": self.sha256}
        stated: dict[str, str | int] = {"file": self.file, "records": self.records, "bytes": self.size}
        return stated | {name: value for name, value in checksums.items() if value}


@dataclasses.dataclass
class TableSum:
    """The sum of the accounts of one table in several shards; the fields are those of TableAccount."""

    written: int = 0
    added: int = 0
    rejected: Counter[str] = dataclasses.field(default_factory=Counter)
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)


@dataclasses.dataclass
class AccountSum:
    """The sum of accounts, to which accounts are added in any order.

    A shard takes about 350 bytes of memory, a range 650 and, with a list of ImageIDs, a few bytes for each of these
    that the range has. Fields without a description are sums of the same field of ShardAccount.

    Attributes:
        ranges: Accounts of ranges without their `class_rows`.
        class_rows: The sum of `class_rows` of all ranges.
        shards: The files of the shards.
        most_boxes: The largest `most_boxes` of a shard.
        most_expanded_boxes: The largest `most_expanded_boxes` of a shard.
        cpu_seconds: The sum over shards and ranges; the only field that rounds.
    """

    ranges: list[RangeAccount] = dataclasses.field(default_factory=list)
    class_rows: Counter[str] = dataclasses.field(default_factory=Counter)
    shards: list[ShardFile] = dataclasses.field(default_factory=list)
    images_selected: int = 0
    images_not_selected: int = 0
    image_bytes: int = 0
    unknown_flags: int = 0
    most_boxes: int = 0
    most_expanded_boxes: int = 0
    images_over_100_boxes: int = 0
    cpu_seconds: float = 0.0
    images_rejected: Counter[str] = dataclasses.field(default_factory=Counter)
    images_skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    images_reencoded: Counter[str] = dataclasses.field(default_factory=Counter)
    image_counts: Counter[str] = dataclasses.field(default_factory=Counter)
    boxes_per_class: ClassCountSum = dataclasses.field(default_factory=ClassCountSum)
    positive_per_class: ClassCountSum = dataclasses.field(default_factory=ClassCountSum)
    negative_per_class: ClassCountSum = dataclasses.field(default_factory=ClassCountSum)
    tables: defaultdict[str, TableSum] = dataclasses.field(default_factory=lambda: defaultdict(TableSum))
    sources: defaultdict[str, Counter[str]] = dataclasses.field(default_factory=lambda: defaultdict(Counter))
    _rejects: dict[int, bytes] = dataclasses.field(default_factory=dict)

    @property
    def records(self) -> int:
        """Records in all shards."""
        return sum(file.records for file in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(file.size for file in self.shards)

    def rejects(self) -> Iterator[str]:
        """Yields the pieces of the list of rejects that the shards have, in their order."""
        for _, packed in sorted(self._rejects.items()):
            yield zlib.decompress(packed).decode()

    def add_range(self, account: RangeAccount) -> None:
        """Adds the account of a range."""
        self.class_rows.update(account.class_rows)
        self.ranges.append(dataclasses.replace(account, class_rows={}))
        self.cpu_seconds += account.cpu_seconds

    def add_shard(self, account: ShardAccount) -> None:
        """Adds the account of a shard."""
        self.shards.append(
            ShardFile(account.shard, account.file, account.records, account.size, account.crc32c, account.sha256)
        )
        if account.rejects:
            # All images of a release may be rejected, and one process holds the lists of all shards.
            self._rejects[account.shard] = zlib.compress(account.rejects.encode(), level=1)
        self.images_selected += account.images_selected
        self.images_not_selected += account.images_not_selected
        self.image_bytes += account.image_bytes
        self.unknown_flags += account.unknown_flags
        self.most_boxes = max(self.most_boxes, account.most_boxes)
        self.most_expanded_boxes = max(self.most_expanded_boxes, account.most_expanded_boxes)
        self.images_over_100_boxes += account.images_over_100_boxes
        self.cpu_seconds += account.cpu_seconds
        self.images_rejected.update(account.images_rejected)
        self.images_skipped.update(account.images_skipped)
        self.images_reencoded.update(account.images_reencoded)
        self.image_counts.update(account.image_counts)
        self.boxes_per_class.add(account.boxes_per_class)
        self.positive_per_class.add(account.positive_per_class)
        self.negative_per_class.add(account.negative_per_class)
        for name, table in account.tables.items():
            self._add_table(name, table)
        for name, sources in account.sources.items():
            self.sources[name].update(sources)

    def _add_table(self, name: str, account: TableAccount) -> None:
        table = self.tables[name]
        table.written += account.written
        table.added += account.added
        table.rejected.update(account.rejected)
        table.dropped.update(account.dropped)


def sum_accounts(ranges: Iterable[RangeAccount], shards: Iterable[ShardAccount]) -> AccountSum:
    """Adds up accounts; of iterators, one account is held at a time.

    Args:
        ranges: Accounts of all ranges, in any order; none where the records are made from records.
        shards: Accounts of all shards, in any order.
    """
    sums = AccountSum()
    for range_account in ranges:
        sums.add_range(range_account)
    for shard_account in shards:
        sums.add_shard(shard_account)
    return sums


def read_shard_accounts(work: WorkFolder, shards: Collection[int]) -> Iterator[ShardAccount]:
    """Yields the accounts that finished shards left in the work folder, in the order of the shards.

    Args:
        work: The work folder of the split.
        shards: Numbers of the shards.
    """
    stored = map_in_order(
        functools.partial(_read_result, work),
        sorted(shards),
        threads=_LOCAL_THREADS if storage.is_local(work.path) else _REMOTE_THREADS,
        max_bytes=_AHEAD_BYTES,
        size_of=len,
    )
    return map(decode_account, stored)


def _read_result(work: WorkFolder, shard: int) -> bytes:
    with relay_errors(work):
        return work.read_result(shard)


def encode_account(account: ShardAccount) -> bytes:
    """Returns the account of a shard as JSON; equal accounts give equal bytes."""
    # Not dataclasses.asdict: it copies every count of every class, which took a third of a join.
    return json.dumps(vars(account), sort_keys=True, separators=(",", ":"), default=vars).encode()


def decode_account(data: bytes) -> ShardAccount:
    """Returns the account that `encode_account` encoded."""
    values: dict[str, Any] = json.loads(data)
    # Version 0.1 also stored the name of the class, and its interrupted conversions can be resumed.
    values.pop("kind", None)
    # Accounts of earlier versions have no count of expanded boxes.
    values.setdefault("most_expanded_boxes", values["most_boxes"])
    # It took the SHA-256 of shards alone.
    values.setdefault("crc32c", "")
    for name in ("boxes_per_class", "positive_per_class", "negative_per_class"):
        if not isinstance(values[name], str):
            values[name] = pack_mapping({int(label): count for label, count in values[name].items()})
    values["tables"] = {name: TableAccount(**table) for name, table in values["tables"].items()}
    return ShardAccount(**values)
