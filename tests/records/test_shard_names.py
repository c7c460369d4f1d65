import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.records.shard_names import ShardName, parse_any_shard_file, parse_shard_file, shard_file
from oi_tfrecord.records.sharding import MAX_SHARDS


def test_the_name_of_a_shard_and_its_parts() -> None:
    assert shard_file("train", 3, 100) == "train.tfrecord-00003-of-00100"
    assert parse_shard_file("train.tfrecord-00003-of-00100") == ("train", 3, 100)


@given(shard=st.integers(0, MAX_SHARDS - 1), split=st.text("a-z0_", min_size=1, max_size=9))
@pytest.mark.parametrize("num_shards", [1, 99_999, MAX_SHARDS])
def test_every_name_is_parsed(split: str, shard: int, num_shards: int) -> None:
    shard %= num_shards
    assert parse_shard_file(shard_file(split, shard, num_shards)) == (split, shard, num_shards)


@pytest.mark.parametrize(
    "name",
    [
        "train.tfrecord",
        "train.tfrecord-3-of-100",
        "train.tfrecord-00003-of-00100.tmp",
        "train.tfrecord-00003-of-00100\n",
        "train.tfrecord-00003-of-000100",
        "train.tfrecord-0000٣-of-00100",
        ".tfrecord-00003-of-00100",
    ],
)
def test_other_names_are_no_shards_of_ours(name: str) -> None:
    assert parse_shard_file(name) is None


@pytest.mark.parametrize(
    "name",
    ["a.record-00003-of-00010", "a-00003-of-00010.tfrecord", "a-00003-of-00010", "a.tfrecord-00003-of-00010"],
)
def test_names_of_third_party_shards_are_parsed(name: str) -> None:
    assert parse_any_shard_file(name) == ShardName("a", 3, 10)


@pytest.mark.parametrize("name", ["a-3-of-10", "notes-of-today", "a-00003-of-00010.csv", "-00003-of-00010"])
def test_names_that_no_program_gives_a_shard_are_not_parsed(name: str) -> None:
    assert parse_any_shard_file(name) is None
