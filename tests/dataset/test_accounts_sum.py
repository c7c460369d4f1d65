import dataclasses
import pickle
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.accounts import ShardEntry, ShardResult, TableCount, Totals
from oi_tfrecord.dataset.manifest import build_split
from tests.dataset.test_accounts import SHARDS as ANY_SHARD
from tests.dataset.test_manifest import BOXES, IMAGES, LABEL_MAP, MORE_BOXES, RANGES, SHARDS, range_result, shard_result

CLASSES = 600
MOST_BYTES_OF_A_SHARD = 2000


def test_sums_are_those_of_all_shards() -> None:
    totals = Totals.of([*RANGES, *SHARDS])
    assert (totals.images_selected, totals.images_not_selected, totals.records, totals.bytes) == (10, 2, 8, 100)
    assert (totals.most_boxes, totals.images_over_100_boxes, totals.unknown_flags) == (120, 1, 2)
    assert totals.boxes_per_class == {"1": 13, "5": 2}
    assert totals.sources == {"boxes": {"xclick": 12, "freeform": 3}}
    assert (totals.tables["boxes"].written, totals.tables["metadata"].written) == (15, 8)
    assert totals.tables["boxes"].rejected == {"image_rejected": 1, "duplicate": 1}
    assert totals.tables["metadata"].dropped == {"image_not_selected": 2}
    first = SHARDS[0]
    assert totals.shards[0] == ShardEntry(first.shard, first.file, first.records, first.size, first.sha256)
    assert totals.ranges == RANGES


def test_classes_of_ranges_are_not_kept() -> None:
    result = range_result("boxes", 0, class_rows={"/m/a": 4})
    totals = Totals.of([result])
    assert totals.ranges == [dataclasses.replace(result, class_rows={})]
    assert result.class_rows == {"/m/a": 4}


def test_rows_of_each_class_are_summed() -> None:
    results = [range_result("boxes", 0, class_rows={"/m/a": 4}), range_result("boxes", 1, class_rows={"/m/a": 1})]
    assert Totals.of(results).class_rows == {"/m/a": 5}


def test_processor_time_is_of_ranges_and_shards() -> None:
    results = [range_result("boxes", 0, cpu_seconds=1.5), shard_result(0, cpu_seconds=2.0)]
    assert Totals.of(results).cpu_seconds == 3.5


@given(st.data())
def test_results_may_be_added_in_any_order(data: st.DataObject) -> None:
    results = data.draw(st.permutations([*RANGES, *SHARDS, *data.draw(st.lists(ANY_SHARD, max_size=3))]))
    inputs = [BOXES, MORE_BOXES, IMAGES]
    by_place = sorted(results, key=repr)
    assert build_split(inputs, Totals.of(results), LABEL_MAP, {}) == build_split(
        inputs, Totals.of(by_place), LABEL_MAP, {}
    )


def result_with_classes(shard: int) -> ShardResult:
    """A result with rows of every class, some 40 KB as JSON."""
    counts = {str(number): shard + number for number in range(1, CLASSES + 1)}
    return shard_result(
        shard,
        size=10**8 + shard,
        tables={"boxes": TableCount(7, {"duplicate": 1}, {})},
        boxes_per_class=counts,
        positive_per_class=dict(counts),
        negative_per_class=dict(counts),
    )


def test_a_shard_takes_a_small_constant_of_memory() -> None:
    def measure(shards: int) -> int:
        """Returns the peak of the memory of the sum of so many shards."""
        tracemalloc.start()
        totals = Totals()
        for shard in range(shards):
            totals.add(result_with_classes(shard))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    few, many = 50, 250
    assert (measure(many) - measure(few)) / (many - few) < MOST_BYTES_OF_A_SHARD
    # So the rest is the classes': the counts of one shard alone are larger.
    assert len(pickle.dumps(result_with_classes(0))) > 5 * MOST_BYTES_OF_A_SHARD
