import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.derive.select_images import (
    ClassCap,
    FoldPart,
    ImageBatch,
    StratifiedSubset,
    class_counts,
    count_earlier,
    fold_of,
    known_class_ids,
    parse_fraction,
)
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

CLASSES = 6
IMAGES = st.lists(st.sets(st.integers(0, CLASSES - 1), min_size=1, max_size=4).map(sorted), max_size=60)
FRACTIONS = st.fractions(Fraction(1, 50), 1, max_denominator=50)
CUTS = st.lists(st.integers(0, 60), max_size=4)


def make_batch(images: list[list[int]], shard: int = 0) -> ImageBatch:
    starts = np.cumsum([0, *map(len, images)])
    codes = np.array([code for codes in images for code in codes], np.int64)
    return ImageBatch(shard, np.arange(len(images), dtype=np.uint64), starts.astype(np.int64), codes)


def in_batches(images: list[list[int]], cuts: list[int]) -> list[ImageBatch]:
    bounds = [0, *sorted(min(cut, len(images)) for cut in cuts), len(images)]
    return [make_batch(images[start:end], shard) for shard, (start, end) in enumerate(itertools.pairwise(bounds))]


def totals(images: list[list[int]]) -> list[int]:
    return [sum(code in codes for codes in images) for code in range(CLASSES)]


def subset(images: list[list[int]], share: Fraction, cuts: list[int]) -> tuple[list[bool], list[bool]]:
    """Returns what is kept, without and with the images that `find_added` adds."""
    stratified = StratifiedSubset(share, totals(images))
    batches = in_batches(images, cuts)
    kept = [stratified.select(part) for part in batches]
    before = np.concatenate(kept).tolist()
    for shard, image in stratified.find_added():
        assert not kept[shard][image]
        kept[shard][image] = True
    return before, np.concatenate(kept).tolist()


@given(IMAGES, FRACTIONS, CUTS)
def test_each_stratum_keeps_its_share_within_a_half(images: list[list[int]], share: Fraction, cuts: list[int]) -> None:
    before, _ = subset(images, share, cuts)
    counts = totals(images)
    strata = [min(codes, key=lambda code: (counts[code], code)) for codes in images]
    for stratum in range(CLASSES):
        kept = [chosen for chosen, own in zip(before, strata, strict=True) if own == stratum]
        # Rounded half up: 0.5 of one image is one.
        assert sum(kept) == int(share * len(kept) + Fraction(1, 2))


@given(IMAGES, FRACTIONS, CUTS)
def test_each_class_keeps_an_image_and_no_more_are_added_than_classes_lack_one(
    images: list[list[int]], share: Fraction, cuts: list[int]
) -> None:
    before, after = subset(images, share, cuts)
    lacking = 0
    for code in range(CLASSES):
        of_class = [number for number, codes in enumerate(images) if code in codes]
        lacking += bool(of_class) and not any(before[number] for number in of_class)
        assert not of_class or any(after[number] for number in of_class)
    assert sum(after) - sum(before) <= lacking
    assert all(now for then, now in zip(before, after, strict=True) if then)


@given(IMAGES, FRACTIONS, CUTS, CUTS)
def test_a_subset_does_not_depend_on_the_shards(
    images: list[list[int]], share: Fraction, cuts: list[int], other_cuts: list[int]
) -> None:
    assert subset(images, share, cuts) == subset(images, share, other_cuts)


@given(IMAGES)
def test_a_whole_share_keeps_every_image(images: list[list[int]]) -> None:
    assert all(subset(images, Fraction(1), [])[0])


def test_classes_of_one_stratum_keep_their_share_too() -> None:
    """A class that is never with a rarer one is its own stratum, so its share is within a half of an image."""
    images = [[number % 3] for number in range(300)]
    _, after = subset(images, Fraction(1, 10), [])
    assert [sum(after[code::3]) for code in range(3)] == [10, 10, 10]


def capped(images: list[list[int]], cap: int, cuts: list[int]) -> list[bool]:
    classes = ClassCap(cap, CLASSES)
    return np.concatenate([classes.select(part) for part in in_batches(images, cuts)]).tolist()


@given(IMAGES, st.integers(1, 20), CUTS)
def test_an_image_is_kept_while_any_of_its_classes_is_below_its_cap(
    images: list[list[int]], cap: int, cuts: list[int]
) -> None:
    kept_of = [0] * CLASSES
    expected = []
    for codes in images:
        keep = any(kept_of[code] < cap for code in codes)
        expected.append(keep)
        for code in codes if keep else ():
            kept_of[code] += 1
    assert capped(images, cap, cuts) == expected
    counts = totals(images)
    assert all(kept >= min(cap, count) for kept, count in zip(kept_of, counts, strict=True))


@given(IMAGES, st.integers(1, 20), st.integers(0, 20))
def test_a_capped_subset_is_part_of_one_with_a_higher_cap(images: list[list[int]], cap: int, more: int) -> None:
    low, high = capped(images, cap, []), capped(images, cap + more, [])
    assert all(above for below, above in zip(low, high, strict=True) if below)


@given(st.lists(st.integers(0, CLASSES - 1), max_size=50), st.integers(0, 50))
def test_occurrences_are_counted_across_batches(codes: list[int], cut: int) -> None:
    seen = np.zeros(CLASSES, np.int64)
    parts = [np.array(part, np.int64) for part in (codes[:cut], codes[cut:])]
    ranks = np.concatenate([count_earlier(part, seen) for part in parts]).tolist()
    assert ranks == [codes[:place].count(code) for place, code in enumerate(codes)]
    assert seen.tolist() == [codes.count(code) for code in range(CLASSES)]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50, unique=True), st.integers(2, 20))
def test_folds_are_a_partition_that_depends_on_the_image_only(ids: list[int], folds: int) -> None:
    hashes = hash_ids(np.array(ids, np.uint64))
    found = fold_of(hashes, folds)
    assert (found < folds).all()
    assert np.array_equal(found[::-1], fold_of(hashes[::-1], folds))


def test_folds_are_equal_up_to_chance_and_independent_of_the_shards() -> None:
    hashes = hash_ids(np.arange(100_000, dtype=np.uint64))
    first_half = hashes < np.uint64(1 << 63)
    for part in (hashes, hashes[first_half], hashes[~first_half]):
        expected = len(part) / 5
        # Five standard deviations of a binomial count.
        bound = 5 * (expected * 0.8) ** 0.5
        assert (abs(np.bincount(fold_of(part, 5), minlength=5) - expected) < bound).all()


@pytest.mark.parametrize(("text", "share"), [("0.1", (1, 10)), ("1/3", (1, 3)), ("1", (1, 1)), ("1e-3", (1, 1000))])
def test_a_share_is_exact(text: str, share: tuple[int, int]) -> None:
    assert parse_fraction(text) == Fraction(*share)


@pytest.mark.parametrize("text", ["0", "-0.1", "1.01", "a tenth", "1/0", "nan", "inf", "1e-20"])
def test_a_text_that_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        parse_fraction(text)


def test_a_fold_and_the_rest_are_the_split() -> None:
    batch = make_batch([[0]] * 100)
    inside, outside = (FoldPart(5, 2, is_inside).select(batch) for is_inside in (True, False))
    assert 0 < inside.sum() < 50
    assert (inside != outside).all()
    assert np.array_equal(inside, fold_of(hash_ids(batch.image_ids), 5) == 2)


def test_a_batch_gives_the_classes_of_an_image() -> None:
    batch = make_batch([[0], [1, 2], [2]])
    assert (len(batch), batch.of_image(1).tolist(), batch.image_of_code.tolist()) == (3, [1, 2], [0, 1, 1, 2])


def test_classes_are_counted_by_their_ids() -> None:
    known = known_class_ids(LabelMap((LabelMapItem(70, "/m/b", "B"), LabelMapItem(3, "/m/a", "A"))))
    assert known.tolist() == [0, 3, 70]
    manifest = [{"id": 70, "boxes": 5, "positive_labels": 2}, {"id": 3, "boxes": 1, "positive_labels": 9}]
    assert class_counts(manifest, "boxes", known) == [0, 1, 5]
    assert class_counts(manifest, "positive_labels", known) == [0, 9, 2]
