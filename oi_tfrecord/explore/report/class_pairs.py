"""Counts in how many images two classes are together, in memory that depends on neither images nor classes."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

MOST_PAIRED_CLASSES = 200
"""Classes of a shard whose pairs are counted."""

SAMPLED_IMAGES = 5_000
"""Images of a shard whose most frequent classes are the ones whose pairs are counted."""

Classes = Sequence[str]
"""The distinct MIDs of an image."""


def choose_paired(sample: Iterable[Classes]) -> frozenset[str]:
    """Returns the most frequent classes of some images; of equally frequent ones, the first by MID."""
    counts = Counter(itertools.chain.from_iterable(sample))
    ordered = sorted(counts, key=lambda mid: (-counts[mid], mid))
    return frozenset(ordered[:MOST_PAIRED_CLASSES])


def count_pairs(images: Iterable[Classes], paired: frozenset[str]) -> Counter[tuple[str, str]]:
    """Returns the number of images with both classes, by pair of MIDs in order; only of classes in `paired`."""
    pairs: Counter[tuple[str, str]] = Counter()
    for classes in images:
        pairs.update(itertools.combinations(sorted(paired.intersection(classes)), 2))
    return pairs


def tabulate_pairs(pairs: Mapping[tuple[str, str], int], mids: Sequence[str]) -> list[list[int]]:
    """Returns a symmetric table of the images with both of two classes; 0 on its diagonal."""
    return [[pairs.get((min(row, column), max(row, column)), 0) for column in mids] for row in mids]
