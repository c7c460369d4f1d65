"""Which images of a split a subset keeps, by their classes, in hash order.

The images come in batches, a shard each, in the order of their hashes. That order does not depend on the number of
shards, and neither does the choice of images.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np

from oi_tfrecord.derive.plan import DerivedPlan
from oi_tfrecord.derive.record_index import NO_CLASS
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.csv.files import read_whole
from oi_tfrecord.openimages.csv.id_lists import parse_image_ids
from oi_tfrecord.openimages.image_id import IdForm, choose_form, hash_ids
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.sharding import shard_of

MAX_DENOMINATOR = 10**9

_FOLD_SALT = np.uint64(0xD1B54A32D192ED03)


@dataclasses.dataclass(frozen=True)
class ImageBatch:
    """The images of a shard and their classes.

    Attributes:
        shard: number of the shard.
        image_ids: uint64 array [images], keys of the ImageIDs in hash order.
        starts: int64 array [images + 1]; the codes of image `i` are `codes[starts[i]:starts[i + 1]]`.
        codes: int64 array, each class of an image once. Every image has a class, as images without one have NO_CLASS.
    """

    shard: int
    image_ids: np.ndarray
    starts: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def image_of_code(self) -> np.ndarray:
        """int64 array, index of the image of each of `codes`."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def of_image(self, image: int) -> np.ndarray:
        """Returns the codes of one image."""
        return self.codes[self.starts[image] : self.starts[image + 1]]


def known_class_ids(label_map: LabelMap) -> np.ndarray:
    """Returns NO_CLASS and the ids of a label map, ascending; the code of a class is the place of its id."""
    return np.array([NO_CLASS, *sorted(item.id for item in label_map.items)], np.int64)


def read_batches(plan: DerivedPlan, known_ids: np.ndarray) -> Iterator[ImageBatch]:
    """Yields the images of the only source of a plan, shard by shard.

    Args:
        plan: its shards are indexed.
        known_ids: see `known_class_ids`.
    """
    for source, shard in plan.input_shards:
        index = plan.job.index.read(source, shard)
        codes = np.searchsorted(known_ids, index.class_ids).astype(np.int64)
        yield ImageBatch(shard, index.image_ids, index.class_starts, codes)


def parse_fraction(text: str) -> Fraction:
    """Parses a share exactly: 0.1 is a tenth, which no float is.

    Raises:
        ConfigError: naming `fraction`, if the share is not above 0 and at most 1.
    """
    try:
        fraction = Fraction(text).limit_denominator(MAX_DENOMINATOR)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError("fraction", f"{text!r} is not a number") from error
    if not 0 < fraction <= 1:
        raise ConfigError("fraction", f"{text} is not above 0 and at most 1")
    return fraction


class Selector(Protocol):
    """Chooses images, batch by batch in hash order."""

    def select(self, batch: ImageBatch) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array [images]."""

    def find_added(self) -> list[tuple[int, int]]:
        """Returns (shard, image) of images to add when all batches are selected."""

    def find_notes(self) -> list[str]:
        """Returns what a person should know when all batches are selected."""
        return []


class StratifiedSubset(Selector):
    """A share of each stratum; the stratum of an image is the rarest of its classes.

    Of n images of a stratum, every (1 / share)-th in hash order is kept: share * n images, rounded half up. So a subset
    is not a part of one with a larger share. Where that leaves a class without any image, `find_added` names one.
    """

    def __init__(self, share: Fraction, class_counts: Sequence[int]):
        """Starts before the first batch.

        Args:
            share: above 0, to 1, its denominator at most MAX_DENOMINATOR.
            class_counts: how often each class occurs, by code; of equally rare classes the lower code is the stratum.
        """
        self._share = share
        counts = np.asarray(class_counts, np.int64)
        self._by_rarity = np.argsort(counts, kind="stable")
        self._rarity = np.empty(len(counts), np.int64)
        self._rarity[self._by_rarity] = np.arange(len(counts))
        self._seen = np.zeros(len(counts), np.int64)
        self._kept = np.zeros(len(counts), np.int64)
        self._first: dict[int, tuple[int, int, tuple[int, ...]]] = {}

    def strata(self, batch: ImageBatch) -> np.ndarray:
        """Returns the code of each image's stratum."""
        if not len(batch):
            return np.zeros(0, np.int64)
        return self._by_rarity[np.minimum.reduceat(self._rarity[batch.codes], batch.starts[:-1])]

    def select(self, batch: ImageBatch) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array [images]."""
        twice, whole = 2 * self._share.numerator, 2 * self._share.denominator
        half = self._share.denominator
        ranks = count_earlier(self.strata(batch), self._seen)
        keep_mask = (twice * (ranks + 1) + half) // whole > (twice * ranks + half) // whole
        np.add.at(self._kept, batch.codes[keep_mask[batch.image_of_code]], 1)
        self._note_first_images(batch)
        return keep_mask

    def _note_first_images(self, batch: ImageBatch) -> None:
        """Notes the first image of each class, with its classes."""
        codes, first = np.unique(batch.codes, return_index=True)
        for code, place in zip(codes.tolist(), first.tolist(), strict=True):
            if code not in self._first:
                image = int(batch.image_of_code[place])
                self._first[code] = (batch.shard, image, tuple(batch.of_image(image).tolist()))

    def find_added(self) -> list[tuple[int, int]]:
        """Returns (shard, image) of images to add so that no class that has an image is without one.

        The rarest class comes first, each with its first image in hash order.
        """
        kept = self._kept.copy()
        added = []
        for code in self._by_rarity.tolist():
            if code in self._first and not kept[code]:
                shard, image, codes = self._first[code]
                kept[list(codes)] += 1
                added.append((shard, image))
        return added


class ClassCap(Selector):
    """Images with a class that is still below its cap.

    A class is below its cap as long as it has had fewer images than the cap, all of which were kept. So the first
    images of each class in hash order are kept, and a subset is part of one with a higher cap. A class has more images
    than the cap only through images that are kept for a rarer class.
    """

    def __init__(self, cap: int, num_classes: int):
        """Starts before the first batch.

        Args:
            cap: images per class, at least 1.
            num_classes: number of codes.
        """
        self._cap = cap
        self._seen = np.zeros(num_classes, np.int64)

    def select(self, batch: ImageBatch) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array [images]."""
        if not len(batch):
            return np.zeros(0, bool)
        below = count_earlier(batch.codes, self._seen) < self._cap
        return np.logical_or.reduceat(below, batch.starts[:-1])

    def find_added(self) -> list[tuple[int, int]]:
        """Returns no image: each class has its first ones."""
        return []


@dataclasses.dataclass(frozen=True)
class FoldPart(Selector):
    """The images of a fold, or those of all other folds.

    Attributes:
        folds: number of folds.
        fold: which fold, from 0.
        inside: whether the images of the fold are kept, or all others.
    """

    folds: int
    fold: int
    inside: bool

    def select(self, batch: ImageBatch) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array [images]."""
        return (fold_of(hash_ids(batch.image_ids), self.folds) == self.fold) == self.inside

    def find_added(self) -> list[tuple[int, int]]:
        """Returns no image: a fold may lack classes."""
        return []


class ListedImages(Selector):
    """The images of a list."""

    def __init__(self, image_ids: np.ndarray):
        """Starts before the first batch.

        Args:
            image_ids: uint64 array [n], keys of the ImageIDs, without repeats.
        """
        self._image_ids = image_ids
        self._missing = len(image_ids)

    def select(self, batch: ImageBatch) -> np.ndarray:
        """Returns whether each image of the next batch is kept, a bool array [images]."""
        is_listed: np.ndarray = np.isin(batch.image_ids, self._image_ids)
        self._missing -= int(is_listed.sum())
        return is_listed

    def find_added(self) -> list[tuple[int, int]]:
        """Returns no image: a list may lack classes."""
        return []

    def find_notes(self) -> list[str]:
        """Returns how many listed ImageIDs have no record, if there are any."""
        return [f"{self._missing:,} ImageIDs of the list are in no record"] if self._missing else []


def read_image_list(path: str, split: str) -> np.ndarray:
    """Returns the keys of the ImageIDs that a file lists for a split, uint64 array [n].

    Raises:
        InputError: naming the first line that is no ImageID.
    """
    data = read_whole(path)
    names = [line.strip().rpartition(b"/")[2] for line in data.splitlines() if line.strip()]
    # Lists of published ImageIDs may have `.jpg` behind them.
    stems = [name.removesuffix(b".jpg") for name in names]
    form = IdForm.HEX if choose_form(stems) is IdForm.HEX else choose_form(names)
    return parse_image_ids(data, path, split, form).image_ids


def count_earlier(codes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Returns how often each code occurred before, in this batch and in earlier ones.

    Args:
        codes: int64 array [n].
        seen: int64 array [classes], occurrences in earlier batches; those of this batch are added.
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
    """Returns the fold of each image, by a hash that is independent of the hash order and of `--sample`.

    Args:
        hashes: uint64 array [n], `hash_ids` of the ImageIDs.
        folds: number of folds.

    Returns:
        uint32 array [n] in [0, folds). The fold depends on the ImageID only, so an image stays in its fold whatever
        else the split holds; folds are equal in size up to chance.
    """
    return shard_of(hash_ids(hashes + _FOLD_SALT), folds)


def class_counts(classes: Sequence[Mapping[str, int]], column: str, known_ids: np.ndarray) -> list[int]:
    """Returns how often each class occurs by the manifest of a split, by code; 0 for classes that it does not list.

    Args:
        classes: `classes` of the manifest.
        column: `boxes` or `positive_labels`.
        known_ids: see `known_class_ids`.
    """
    counts = {item["id"]: item[column] for item in classes}
    return [counts.get(label_id, 0) for label_id in known_ids.tolist()]
