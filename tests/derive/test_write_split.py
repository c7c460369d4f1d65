from typing import Any

from oi_tfrecord.derive.write_split import WrittenSplit, describe_written


def manifest(shards: int, left_out: dict[str, int]) -> dict[str, Any]:
    images = {"records": 1200, "read": 1200 + sum(left_out.values()), "left_out": left_out}
    return {"images": images, "shards": [{}] * shards, "balanced": True}


def test_a_line_describes_a_written_split() -> None:
    assert describe_written(WrittenSplit("out", "train", manifest(1, {}))) == (
        "train: 1,200 of 1,200 records in 1 shard; out/manifest.json"
    )
    assert describe_written(WrittenSplit("out", "train", manifest(3, {"over_cap": 4000}))) == (
        "train: 1,200 of 5,200 records in 3 shards, 4,000 left out (over_cap); out/manifest.json"
    )
    complete = WrittenSplit("out", "train", manifest(3, {}), was_complete=True)
    assert describe_written(complete) == "train: nothing to do, it is complete."
