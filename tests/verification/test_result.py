import json
from collections import Counter

from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file
from oi_tfrecord.verification.result import (
    SplitSummary,
    VerifyResult,
    add_faults,
    describe_key_table,
    describe_result,
    merge_results,
    pack_result,
    result_of,
    to_values,
    unpack_result,
)


def fault(record: int, file: str = "a") -> DatasetFault:
    return DatasetFault(
        "train", file, record, 100 * record, "00ab", "image/height", FaultKind.BAD_VALUE, "value 0 is 0"
    )


def of_shard(file: str, records: int, faults: int) -> VerifyResult:
    counts = RecordCounts(records=records, boxes=2 * records, most_boxes=records, keys=Counter({"other": records}))
    kept = tuple(fault(record, file) for record in range(faults))
    return VerifyResult({"train": SplitSummary(1, 1000, counts)}, kept, {"bad_value": faults})


def test_shards_add_up_and_the_first_faults_are_kept_in_order() -> None:
    results = [of_shard("b", 3, 2), result_of(fault(7, "c")), of_shard("a", 5, 2)]
    result = merge_results(results, max_faults=3)
    summary = result.splits["train"]
    assert (summary.shards, summary.size, summary.counts.records, summary.counts.boxes) == (2, 2000, 8, 16)
    assert summary.counts.most_boxes == 5
    assert result.faults == (fault(0, "a"), fault(1, "a"), fault(0, "b"))
    assert (result.fault_count, result.fault_counts) == (5, {"bad_value": 5})


def test_many_faults_take_bounded_memory_and_the_first_are_kept() -> None:
    results = (of_shard(f"{number:03d}", 1, 40) for number in range(100, 0, -1))
    result = merge_results(results, max_faults=5)
    assert result.faults == tuple(fault(record, "001") for record in range(5))
    assert result.fault_count == 4000


def test_faults_of_whole_files_come_first() -> None:
    result = of_shard("a", 1, 2)
    missing = fault_of_file("train", "z", FaultKind.SHARD_MISSING, "there is no such file")
    more = add_faults(result, [missing], max_faults=2)
    assert more.faults == (missing, fault(0))
    assert more.fault_counts == {"bad_value": 2, "shard_missing": 1}


def test_the_text_and_the_json_agree() -> None:
    result = merge_results([of_shard("a", 4, 3)], max_faults=1)
    lines = list(describe_result(result, 2.0))
    assert lines == [
        "3 faults: bad_value 3",
        "fault: a, record 0 at byte 0, 00ab, image/height: bad_value: value 0 is 0",
        "... and 2 more (--max_faults)",
        "train: 4 records in 1 shards, 1.00 KB, 8 boxes, 0 image labels",
        "2.0 s, 2 records/s, 0 MB/s",
    ]
    assert "other 4 0 unknown" in [" ".join(line.split()) for line in describe_key_table(result)]
    values = to_values(result)
    assert (values["ok"], values["fault_count"], len(values["faults"])) == (False, 3, 1)
    assert json.loads(json.dumps(values)) == values
    assert next(describe_result(VerifyResult(), 0)) == "no fault"


def test_a_packed_result_is_unpacked() -> None:
    result = merge_results([of_shard("a", 4, 3), of_shard("b", 1, 0)], max_faults=2)
    assert unpack_result(pack_result(result)) == result
    assert unpack_result(pack_result(VerifyResult())) == VerifyResult()
