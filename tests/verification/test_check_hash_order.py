import numpy as np

from oi_tfrecord.verification.check_hash_order import find_duplicates, find_of_other_shards, find_out_of_order
from oi_tfrecord.verification.faults import FaultKind, RecordPlace

PLACES = [RecordPlace(number, 100 * number, name) for number, name in enumerate((b"a", b"b", b"c", b"a"))]


def test_an_image_that_is_there_again_is_named_with_its_first_record() -> None:
    [(place, finding)] = find_duplicates(PLACES, np.array([5, 2, 9, 5], np.uint64))
    assert (place, finding.kind, finding.detail) == (
        PLACES[3], FaultKind.DUPLICATE_IMAGE, "also in record 0 at byte 0"
    )  # fmt: skip


def test_two_images_whose_ids_hash_to_the_same_number_are_no_duplicates() -> None:
    assert list(find_duplicates(PLACES[:3], np.array([5, 5, 9], np.uint64))) == []


def test_records_follow_each_other_in_hash_order() -> None:
    assert list(find_out_of_order(PLACES, np.array([1, 2, 3, 3], np.uint64))) == []
    [(place, finding)] = find_out_of_order(PLACES, np.array([1, 7, 3, 9], np.uint64))
    assert (place, finding.kind) == (PLACES[2], FaultKind.OUT_OF_ORDER)
    assert "that of b" in finding.detail


def test_a_record_belongs_to_the_shard_of_its_hash() -> None:
    half = 1 << 63
    hashes = np.array([0, half - 1, half, 2 * half - 1], np.uint64)
    found = list(find_of_other_shards(PLACES, hashes, shard=1, num_shards=2))
    assert [place for place, _ in found] == PLACES[:2]
    assert found[0][1].detail == "its hash belongs to shard 0 of 2"
