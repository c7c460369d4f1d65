import json
from collections import Counter

from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.verification.check_shard import FaultList, ShardCheck, to_json
from oi_tfrecord.verification.faults import Fault, FaultKind, fault_of_file
from oi_tfrecord.verification.result import VerifyResult, add_faults, collect, describe_result, read_result, to_values


def fault(record: int, file: str = "a") -> Fault:
    return Fault("train", file, record, 100 * record, "00ab", "image/height", FaultKind.BAD_VALUE, "value 0 is 0")


def check(file: str, records: int, faults: int) -> bytes:
    counts = RecordCounts(records=records, boxes=2 * records, most_boxes=records, keys=Counter({"other": records}))
    kept = tuple(fault(record, file) for record in range(faults))
    return to_json(ShardCheck("train", 0, file, 1000, counts, kept, {"bad_value": faults}))


def test_shards_add_up_and_the_first_faults_are_kept_in_order() -> None:
    alone = json.dumps(vars(fault(7, "c"))).encode()
    result = read_result(collect([check("b", 3, 2), alone, check("a", 5, 2)], max_faults=3))
    summary = result.splits["train"]
    assert (summary.shards, summary.size, summary.counts.records, summary.counts.boxes) == (2, 2000, 8, 16)
    assert summary.counts.most_boxes == 5
    assert result.faults == (fault(0, "a"), fault(1, "a"), fault(0, "b"))
    assert (result.fault_count, result.fault_counts) == (5, {"bad_value": 5})


def test_many_faults_take_bounded_memory_and_the_first_are_kept() -> None:
    checks = [check(f"{number:03d}", 1, 40) for number in range(100, 0, -1)]
    result = read_result(collect(checks, max_faults=5))
    assert result.faults == tuple(fault(record, "001") for record in range(5))
    assert result.fault_count == 4000


def test_faults_of_whole_files_come_first() -> None:
    result = read_result(collect([check("a", 1, 2)], max_faults=2))
    missing = fault_of_file("train", "z", FaultKind.SHARD_MISSING, "there is no such file")
    more = add_faults(result, [missing], max_faults=2)
    assert more.faults == (missing, fault(0))
    assert more.fault_counts == {"bad_value": 2, "shard_missing": 1}


def test_the_text_and_the_report_tell_the_same() -> None:
    result = read_result(collect([check("a", 4, 3)], max_faults=1))
    lines = list(describe_result(result, 2.0))
    assert lines[0] == "train: 4 records in 1 shards, 1.00 KB, 8 boxes, 0 image labels"
    assert "  other                                          4           0  unknown" in lines
    assert lines[-4:] == [
        "2.0 s, 2 records/s, 0 MB/s",
        "fault: a, record 0 at byte 0, 00ab, image/height: bad_value: value 0 is 0",
        "... and 2 more (--max_faults)",
        "3 faults: bad_value 3",
    ]
    report = to_values(result)
    assert (report["ok"], report["fault_count"], len(report["faults"])) == (False, 3, 1)
    assert json.loads(json.dumps(report)) == report
    assert list(describe_result(VerifyResult({}, (), {}), 0))[-1] == "no fault"


def test_a_fault_list_counts_what_it_does_not_keep() -> None:
    faults = FaultList(1)
    for record in range(3):
        faults.add(fault(record))
    assert (faults.kept, dict(faults.counts)) == ([fault(0)], {"bad_value": 3})
