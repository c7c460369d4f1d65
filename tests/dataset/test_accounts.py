import dataclasses
import json
import pickle
import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.accounts import (
    AccountSum,
    ShardAccount,
    ShardFile,
    TableAccount,
    decode_account,
    encode_account,
    sum_accounts,
)
from oi_tfrecord.dataset.manifest import build_split
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.records.class_counts import pack_mapping
from tests.dataset.test_manifest import BOXES, IMAGES, LABEL_MAP, MORE_BOXES, RANGES, SHARDS, range_result, shard_result

COUNT = st.integers(0, 2**63)
REJECTED = st.dictionaries(st.sampled_from(Reject).map(str), COUNT)
DROPPED = st.dictionaries(st.sampled_from(Drop).map(str), COUNT)
TABLES = st.sampled_from(Table).map(str)
CLASS_COUNTS = st.dictionaries(st.integers(1, 601), st.integers(0, 2**40)).map(pack_mapping)
ANY_SHARD = st.builds(
    ShardAccount,
    shard=COUNT,
    file=st.just("train.tfrecord-00000-of-00001"),
    size=COUNT,
    crc32c=st.text("0123456789abcdef", min_size=8, max_size=8),
    records=COUNT,
    images_selected=COUNT,
    images_not_selected=COUNT,
    images_rejected=REJECTED,
    image_bytes=COUNT,
    images_reencoded=st.dictionaries(st.sampled_from(["PNG", "GIF"]), COUNT),
    tables=st.dictionaries(TABLES, st.builds(TableAccount, written=COUNT, rejected=REJECTED, dropped=DROPPED)),
    boxes_per_class=CLASS_COUNTS,
    positive_per_class=CLASS_COUNTS,
    negative_per_class=CLASS_COUNTS,
    sources=st.dictionaries(TABLES, st.dictionaries(st.text(max_size=9), COUNT)),
    unknown_flags=COUNT,
    most_boxes=COUNT,
    most_expanded_boxes=COUNT,
    images_over_100_boxes=COUNT,
)


@given(account=ANY_SHARD)
def test_an_account_survives_json(account: ShardAccount) -> None:
    before = pickle.dumps(account)
    assert decode_account(encode_account(account)) == account
    assert pickle.dumps(account) == before, "encode_account changed its argument"


def test_counts_of_classes_of_earlier_versions_are_read() -> None:
    account = SHARDS[0]
    stored = json.loads(encode_account(account)) | {"boxes_per_class": {"5": 2, "1": 8}}
    read = decode_account(json.dumps(stored).encode())
    assert read == dataclasses.replace(account, boxes_per_class=pack_mapping({1: 8, 5: 2}))


@given(account=ANY_SHARD)
def test_equal_accounts_are_equal_bytes(account: ShardAccount) -> None:
    turned: dict[str, Any] = {
        field.name: dict(reversed(value.items()))
        for field in dataclasses.fields(account)
        if isinstance(value := getattr(account, field.name), dict)
    }
    assert encode_account(dataclasses.replace(account, **turned)) == encode_account(account)


EMPTY_SHARD: dict[str, Any] = {
    field.name: {} if "dict" in str(field.type) else "" if field.type is str else 0
    for field in dataclasses.fields(ShardAccount)
}


def test_every_field_of_an_account_is_stored() -> None:
    assert json.loads(encode_account(ShardAccount(**EMPTY_SHARD))) == EMPTY_SHARD


def test_an_account_of_version_0_1_is_read() -> None:
    account = ShardAccount(**EMPTY_SHARD)
    stored = json.dumps(json.loads(encode_account(account)) | {"kind": "ShardResult"}).encode()
    assert decode_account(stored) == account


def test_an_account_that_has_a_sha256_alone_gives_that_to_the_manifest() -> None:
    stored = json.loads(encode_account(ShardAccount(**EMPTY_SHARD))) | {"sha256": "ab" * 32}
    del stored["crc32c"]
    sums = sum_accounts((), [decode_account(json.dumps(stored).encode())])
    stated = sums.shards[0].describe()
    assert (stated["sha256"], stated.keys()) == ("ab" * 32, {"file", "records", "bytes", "sha256"})


def test_rows_of_a_rejected_image_are_not_listed_again() -> None:
    tables = {
        "metadata": TableAccount(5, {"image_rejected": 2, "duplicate": 1}, {}),
        "boxes": TableAccount(9, {"image_rejected": 30, "duplicate": 4}, {"image_not_selected": 50}),
    }
    account = ShardAccount(**EMPTY_SHARD | {"tables": tables, "images_rejected": {"image_missing": 2}})
    # Two duplicates' lists of 1 and 4 rows, and the two images themselves.
    assert account.listed_rejects == 1 + 4 + 2


CLASSES = 600
MOST_BYTES_OF_A_SHARD = 2000


def test_sums_are_those_of_all_shards() -> None:
    sums = sum_accounts(RANGES, SHARDS)
    assert (sums.images_selected, sums.images_not_selected, sums.records, sums.bytes) == (10, 2, 8, 100)
    assert (sums.most_boxes, sums.images_over_100_boxes, sums.unknown_flags) == (120, 1, 2)
    assert sums.boxes_per_class.by_id() == {"1": 13, "5": 2}
    assert sums.sources == {"boxes": {"xclick": 12, "freeform": 3}}
    assert (sums.tables["boxes"].written, sums.tables["metadata"].written) == (15, 8)
    assert sums.tables["boxes"].rejected == {"image_rejected": 1, "duplicate": 1}
    assert sums.tables["metadata"].dropped == {"image_not_selected": 2}
    first = SHARDS[0]
    assert sums.shards[0] == ShardFile(first.shard, first.file, first.records, first.size, first.crc32c)
    assert sums.ranges == RANGES


def test_the_sum_keeps_ranges_without_their_classes() -> None:
    account = range_result("boxes", 0, class_rows={"/m/a": 4})
    assert sum_accounts([account], ()).ranges == [dataclasses.replace(account, class_rows={})]
    assert account.class_rows == {"/m/a": 4}


def test_rows_of_each_class_are_summed() -> None:
    ranges = [range_result("boxes", 0, class_rows={"/m/a": 4}), range_result("boxes", 1, class_rows={"/m/a": 1})]
    assert sum_accounts(ranges, ()).class_rows == {"/m/a": 5}


def test_processor_time_is_of_ranges_and_shards() -> None:
    sums = sum_accounts([range_result("boxes", 0, cpu_seconds=1.5)], [shard_result(0, cpu_seconds=2.0)])
    assert sums.cpu_seconds == 3.5


@given(st.data())
def test_accounts_may_be_added_in_any_order(data: st.DataObject) -> None:
    ranges = data.draw(st.permutations(RANGES))
    shards = data.draw(st.permutations([*SHARDS, *data.draw(st.lists(ANY_SHARD, max_size=3))]))
    inputs = [BOXES, MORE_BOXES, IMAGES]
    drawn, ordered = sum_accounts(ranges, shards), sum_accounts(RANGES, sorted(shards, key=repr))
    assert build_split(inputs, drawn, LABEL_MAP, {}) == build_split(inputs, ordered, LABEL_MAP, {})


def account_with_classes(shard: int) -> ShardAccount:
    """An account with rows of every class, about 40 KB as JSON."""
    counts = pack_mapping({number: shard + number for number in range(1, CLASSES + 1)})
    return shard_result(
        shard,
        size=10**8 + shard,
        tables={"boxes": TableAccount(7, {"duplicate": 1}, {})},
        boxes_per_class=counts,
        positive_per_class=counts,
        negative_per_class=counts,
    )


def test_a_shard_takes_a_small_constant_of_memory() -> None:
    def measure(shards: int) -> int:
        """Returns the peak of the memory of the sum of `shards` shards."""
        tracemalloc.start()
        sums = AccountSum()
        for shard in range(shards):
            sums.add_shard(account_with_classes(shard))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    few, many = 50, 250
    assert (measure(many) - measure(few)) / (many - few) < MOST_BYTES_OF_A_SHARD
    # The counts of classes are not kept for each shard: those of one shard alone are larger.
    assert len(pickle.dumps(account_with_classes(0))) > 5 * MOST_BYTES_OF_A_SHARD
