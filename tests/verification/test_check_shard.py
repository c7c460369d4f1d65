"""Shards of the generated sample, damaged at 1,000 seeded places; and records that are whole but wrong."""

import dataclasses
import io
import pathlib
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.records.tfrecord import frame, read_records
from oi_tfrecord.verification.check_manifest import required_keys
from oi_tfrecord.verification.check_record import RecordRules
from oi_tfrecord.verification.check_shard import ShardTask, check_shard
from oi_tfrecord.verification.faults import FaultKind
from oi_tfrecord.verification.result import VerifyResult, pack_result, unpack_result
from tests.conftest import convert_arguments

PLACES = 1000
SEED = 20171116


def tasks_of(output_dir: pathlib.Path) -> list[ShardTask]:
    [split] = find_splits(str(output_dir)).values()
    assert split.manifest is not None
    rules = RecordRules.of(True, required_keys(split.manifest), read_label_map(str(output_dir)), decode=False)
    return [
        ShardTask("train", number, path, number, len(split.shards), rules, split.manifest["shards"][number])
        for number, path in enumerate(split.shards)
    ]


@pytest.fixture(scope="module")
def tasks(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> list[ShardTask]:
    output_dir = tmp_path_factory.mktemp("verified")
    assert main(["convert", *convert_arguments(sample, output_dir, "--num_shards=8")]) == 0
    return tasks_of(output_dir)


@dataclasses.dataclass(frozen=True)
class Damage:
    """A damaged shard.

    Attributes:
        what: was done to it.
        data: its bytes.
        record: the first record that it touches.
        framed: whether every record is whole, and only their order or number is wrong.
    """

    what: str
    data: bytes
    record: int
    framed: bool


def records_of(data: bytes) -> list[bytes]:
    """The framed records of a shard."""
    offsets = [offset for offset, _ in read_records(io.BytesIO(data))]
    return [data[start:end] for start, end in zip(offsets, [*offsets[1:], len(data)], strict=True)]


def damage(data: bytes, chosen: random.Random) -> Damage:
    """Damages a shard at a random place; what is left is never the same bytes."""
    records = records_of(data)
    ends = [sum(map(len, records[: index + 1])) for index in range(len(records))]

    def record_at(position: int) -> int:
        return next(index for index, end in enumerate(ends) if position < end)

    while True:
        what = chosen.choice(
            (
                "flip",
                "cut",
                "drop bytes",
                "swap bytes",
                "duplicate bytes",
                "swap records",
                "duplicate record",
                "drop record",
            )
        )
        start = chosen.randrange(len(data))
        end = min(start + chosen.randint(1, 100), len(data))
        other = chosen.randrange(len(data))
        hit, first, second = record_at(start), chosen.randrange(len(records)), chosen.randrange(len(records))
        framed = False
        match what:
            case "flip":
                damaged = data[:start] + bytes([data[start] ^ chosen.randint(1, 255)]) + data[start + 1 :]
            case "cut":
                damaged, framed = data[:start], start in (0, *ends)
            case "drop bytes":
                damaged, framed = data[:start] + data[end:], {start, end} <= {0, *ends}
            case "swap bytes":
                changed = bytearray(data)
                changed[start], changed[other] = changed[other], changed[start]
                damaged, hit = bytes(changed), min(hit, record_at(other))
            case "duplicate bytes":
                damaged = data[:end] + data[start:end] + data[end:]
                hit = record_at(end) if end < len(data) else len(records)
            case "swap records":
                order = list(records)
                order[first], order[second] = order[second], order[first]
                damaged, framed = b"".join(order), True
            case "duplicate record":
                damaged, framed = b"".join((*records[:second], records[first], *records[second:])), True
            case _:
                damaged, framed = b"".join(records[:first] + records[first + 1 :]), True
        if damaged != data:
            return Damage(what, damaged, hit, framed)


def check(task: ShardTask, data: bytes, path: pathlib.Path, **changes: object) -> VerifyResult:
    path.write_bytes(data)
    return check_shard(dataclasses.replace(task, path=str(path), **changes))[0]  # type: ignore[arg-type]


def test_every_damage_is_found(tasks: list[ShardTask], tmp_path: pathlib.Path) -> None:
    chosen = random.Random(SEED)
    shards = [pathlib.Path(task.path).read_bytes() for task in tasks]
    path = tmp_path / "damaged"
    kinds: Counter[str] = Counter()
    for place in range(PLACES):
        number = chosen.randrange(len(tasks))
        task, whole = tasks[number], shards[number]
        damaged = damage(whole, chosen)
        kinds[damaged.what] += 1
        where = f"place {place}, {damaged.what} of {task.file}"
        found = check(task, damaged.data, path)
        assert FaultKind.SHARD_CRC32C in found.fault_counts, where
        assert sum(found.fault_counts.values()) == len(found.faults), where
        # Without a manifest, only the records show the damage; a record that is gone leaves no trace.
        alone = check(task, damaged.data, path, expected=None)
        match damaged.what:
            case "swap records":
                assert FaultKind.OUT_OF_ORDER in alone.fault_counts, where
            case "duplicate record":
                assert alone.fault_counts[FaultKind.DUPLICATE_IMAGE] == 1, where
            case "drop record":
                assert found.fault_counts[FaultKind.SHARD_RECORDS] == 1, where
            case _ if not damaged.framed:
                framing = [fault for fault in alone.faults if fault.kind is FaultKind.FRAMING]
                assert framing, where
                if damaged.what != "duplicate bytes":
                    assert framing[0].record == damaged.record, where
                    assert framing[0].offset == sum(map(len, records_of(whole)[: damaged.record])), where
    assert len(kinds) == 8
    assert min(kinds.values()) > PLACES // 20


def test_whole_shards_have_no_fault(tasks: list[ShardTask]) -> None:
    for task in tasks:
        found, ids = check_shard(task)
        assert found.faults == ()
        assert found.splits[task.split].counts.records == len(ids) == (task.expected or {})["records"]
        assert unpack_result(pack_result(found)) == found


def rewritten(task: ShardTask, change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The records of a shard after a change to each, framed again: the CRCs are right."""
    with open(task.path, "rb") as stream:
        for _, data in read_records(stream):
            header, footer = frame([changed := change(data)])
            yield header + changed + footer


def test_whole_records_may_be_wrong(tasks: list[ShardTask], tmp_path: pathlib.Path) -> None:
    task = next(task for task in tasks if (task.expected or {})["records"] > 2)
    records = list(rewritten(task, lambda data: data))
    no_keys = b"".join(rewritten(task, lambda data: b""))
    found = check(task, no_keys, tmp_path / "a", expected=None)
    assert set(found.fault_counts) == {FaultKind.KEY_MISSING}
    no_example = b"".join(rewritten(task, lambda data: b"\xff" + data))
    found = check(task, no_example, tmp_path / "b", expected=None)
    assert found.fault_counts == {FaultKind.NOT_AN_EXAMPLE: len(records)}
    # One byte of an image: its header and end are as they were.
    jpeg_byte = b"".join(rewritten(task, lambda data: data.replace(b"\xff\xda\x00\x0c\x03", b"\xff\xda\x00\x0c\x02")))
    found = check(task, jpeg_byte, tmp_path / "c", expected=None)
    assert found.fault_counts[FaultKind.IMAGE_SHA256] == len(records)
    # A record of another shard.
    other = next(other for other in tasks if other.shard != task.shard and (other.expected or {})["records"])
    stray = b"".join([*records, next(rewritten(other, lambda data: data))])
    found = check(task, stray, tmp_path / "d", expected=None)
    assert [fault.record for fault in found.faults if fault.kind is FaultKind.WRONG_SHARD] == [len(records)]


def test_a_key_that_one_record_lacks_is_a_fault(tasks: list[ShardTask], tmp_path: pathlib.Path) -> None:
    task = next(task for task in tasks if (task.expected or {})["records"] > 2)
    renamed = iter([b"image/class/xext"])
    data = b"".join(rewritten(task, lambda data: data.replace(b"image/class/text", next(renamed, b"image/class/text"))))
    found = check(task, data, tmp_path / "a", expected=None)
    faults = [(fault.kind, fault.record, fault.key) for fault in found.faults]
    assert (FaultKind.KEY_MISSING, 0, "image/class/text") in faults
    assert (FaultKind.KEY_MISSING, 1, "image/class/xext") in faults


def test_faults_are_kept_up_to_a_limit_and_all_counted(tasks: list[ShardTask], tmp_path: pathlib.Path) -> None:
    task = next(task for task in tasks if (task.expected or {})["records"] > 2)
    data = b"".join(rewritten(task, lambda data: b""))
    every = check(task, data, tmp_path / "a", expected=None)
    few = check(task, data, tmp_path / "a", expected=None, max_faults=2)
    assert few.faults == every.faults[:2]
    assert few.fault_counts == every.fault_counts


def test_a_shard_that_is_gone_or_a_folder_is_a_fault(tasks: list[ShardTask], tmp_path: pathlib.Path) -> None:
    for path, kind in ((tmp_path / "none", FaultKind.SHARD_MISSING), (tmp_path, FaultKind.SHARD_UNREADABLE)):
        found, ids = check_shard(dataclasses.replace(tasks[0], path=str(path)))
        assert found.fault_counts == {kind: 1}
        assert len(ids) == 0
