"""Which images of a split a subset keeps, by their classes, in hash order.

The images come in batches, a shard each, in the order of their hashes. That order does not depend on the number of
shards, and nor does what is kept.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.sharding import shard_of

MAX_DENOMINATOR = 10**9

_FOLD_SALT = np.uint64(0xD1B54A32D192ED03)


@dataclasses.dataclass(frozen=True)
class ImageClasses:
    """The classes of a batch of images.

    Attributes:
        starts: int64 array [images + 1]; the codes of image `i` are `codes[starts[i]:starts[i + 1]]`.
        codes: int64 array, each class of an image once; every image has at least one, as those without a class form
            one of their own.
    """

    starts: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of_image(self, image: int) -> np.ndarray:
        """Returns the codes of one image."""
        return self.codes[self.starts[image] : self.starts[image + 1]]


def code_classes(starts: np.ndarray, ids: np.ndarray, known_ids: np.ndarray) -> ImageClasses:
    """Returns classes by code instead of label map id.

    Args:
        starts: as in `ImageClasses`.
        ids: the ids, each in `known_ids`.
        known_ids: ascending; the code of a class is its place.
    """
    return ImageClasses(starts, np.searchsorted(known_ids, ids).astype(np.int64))


def parse_fraction(text: str) -> Fraction:
    """Parses a share exactly as it is written: 0.1 is a tenth, which no float is.

    Raises:
        ConfigError: naming `fraction`, if it is not above 0 and at most 1.
    """
    try:
        fraction = Fraction(text).limit_denominator(MAX_DENOMINATOR)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError("fraction", f"{text!r} is no number") from error
    if not 0 < fraction <= 1:
        raise ConfigError("fraction", f"{text} is not above 0 and at most 1")
    return fraction


class StratifiedSubset:
    """A share of each stratum; the stratum of an image is the rarest of its classes.

    Of n images of a stratum, every (1 / share)-th in hash order is kept: share * n of them, rounded half up (so a
    subset is not a part of one with a larger share). Where that leaves a class without any image, `missing` names
    one to add.
    """

    def __init__(self, share: Fraction, class_counts: Sequence[int]):
        """Initializes the instance.

        Args:
            share: above 0, to 1, its denominator at most MAX_DENOMINATOR.
            class_counts: how often each class occurs, by code; of equally rare ones the lower code is the stratum.
        """
        self._share = share
        counts = np.asarray(class_counts, np.int64)
        self._by_rarity = np.argsort(counts, kind="stable")
        self._rarity = np.empty(len(counts), np.int64)
        self._rarity[self._by_rarity] = np.arange(len(counts))
        self._seen = np.zeros(len(counts), np.int64)
        self._kept = np.zeros(len(counts), np.int64)
        self._first: dict[int, tuple[int, int, tuple[int, ...]]] = {}
        self._batches = 0

    def strata(self, batch: ImageClasses) -> np.ndarray:
        """Returns the code of each image's stratum."""
        if not len(batch):
            return np.zeros(0, np.int64)
        return self._by_rarity[np.minimum.reduceat(self._rarity[batch.codes], batch.starts[:-1])]

    def select(self, batch: ImageClasses) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array."""
        twice, whole = 2 * self._share.numerator, 2 * self._share.denominator
        half = self._share.denominator
        ranks = count_earlier(self.strata(batch), self._seen)
        kept = (twice * (ranks + 1) + half) // whole > (twice * ranks + half) // whole
        of_image = np.repeat(np.arange(len(batch)), np.diff(batch.starts))
        np.add.at(self._kept, batch.codes[kept[of_image]], 1)
        codes, first = np.unique(batch.codes, return_index=True)
        for code, place in zip(codes.tolist(), first.tolist(), strict=True):
            if code not in self._first:
                image = int(of_image[place])
                self._first[code] = (self._batches, image, tuple(batch.of_image(image).tolist()))
        self._batches += 1
        return kept

    def missing(self) -> list[tuple[int, int]]:
        """Returns (batch, image) of images to add so that no class that has an image is without one.

        The rarest class is served first, each with its first image in hash order.
        """
        kept = self._kept.copy()
        added = []
        for code in self._by_rarity.tolist():
            if code in self._first and not kept[code]:
                batch, image, codes = self._first[code]
                kept[list(codes)] += 1
                added.append((batch, image))
        return added


class ClassCap:
    """Images of which any class is still below its cap.

    A class is below its cap as long as it has had fewer images than the cap, for all of those were kept. So what is
    kept are the first images of each class in hash order, and a subset is part of one with a higher cap. A class has
    more images than the cap only through those kept for a rarer one.
    """

    def __init__(self, cap: int, num_classes: int):
        """Initializes the instance.

        Args:
            cap: images per class, at least 1.
            num_classes: number of codes.
        """
        self._cap = cap
        self._seen = np.zeros(num_classes, np.int64)

    def select(self, batch: ImageClasses) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array."""
        if not len(batch):
            return np.zeros(0, bool)
        below = count_earlier(batch.codes, self._seen) < self._cap
        return np.logical_or.reduceat(below, batch.starts[:-1])


def count_earlier(codes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Returns for each code how often it occurred before, here and in earlier batches.

    Args:
        codes: int64 array [n].
        seen: int64 array [classes], occurrences in earlier batches; those of this one are added.
    """
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(starts, append=len(codes))
    ranks = np.empty(len(codes), np.int64)
    ranks[order] = seen[ordered] + np.arange(len(codes)) - np.repeat(starts, lengths)
    seen[ordered[starts]] += lengths
    return ranks


def fold_of(hashes: np.ndarray, folds: int) -> np.ndarray:
    """Returns the fold of each image, by a hash that is independent of the order and of `--sample`.

    Args:
        hashes: uint64 array [n], `hash_ids` of the ImageIDs.
        folds: number of folds.

    Returns:
        uint32 array [n] in [0, folds). It depends on the ImageID only, so an image stays in its fold whatever else the
        split holds; folds are equal in size up to chance.
    """
    return shard_of(hash_ids(hashes + _FOLD_SALT), folds)


def class_counts(classes: Sequence[Mapping[str, int]], column: str, known_ids: np.ndarray) -> list[int]:
    """Returns how often each class occurs by the manifest of a split, by code; 0 for those it does not list.

    Args:
        classes: its `classes`.
        column: `boxes` or `positive_labels`.
        known_ids: as in `code_classes`.
    """
    counts = {item["id"]: item[column] for item in classes}
    return [counts.get(label_id, 0) for label_id in known_ids.tolist()]
