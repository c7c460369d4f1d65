"""The classes of a dataset: their names and counts, and what a name stands for."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.search_rows import LABEL_KINDS
from oi_tfrecord.explore.class_colours import colour_of, format_colour, text_label

KINDS = ("boxes", "positive", "machine", "negative", "masks")
"""What a class is counted by. A class is searched by the first of these that it has."""


@dataclasses.dataclass(frozen=True)
class FoundClasses:
    """Some of the classes that a text finds.

    Attributes:
        total: number of all classes that it finds.
        rows: MID, name, colour, kind of the search, and count by each of KINDS.
    """

    total: int
    rows: list[dict[str, Any]]


class ClassList:
    """The classes of a dataset, those with the most boxes and labels first."""

    def __init__(self, index: BrowseIndex, names: Mapping[str, str], label_of: Mapping[str, int]):
        """Counts the boxes and labels of each class.

        Args:
            index: of the dataset.
            names: display name of each MID.
            label_of: label map id of each MID.
        """
        self.mids = index.classes
        self._names = [names.get(mid, mid) for mid in self.mids]
        self._folded = [(name.casefold(), mid.casefold()) for name, mid in zip(self._names, self.mids, strict=True)]
        self._labels = [label_of.get(mid, 0) or text_label(mid.encode()) for mid in self.mids]
        arrays = index.arrays
        counts = {kind: np.diff(arrays[f"{kind}_start"]) for kind in LABEL_KINDS}
        counts |= {"boxes": np.diff(arrays["box_start"]), "masks": arrays["masks"]}
        self._counts = np.array([counts[kind] for kind in KINDS], np.int64).reshape(len(KINDS), -1)
        self._order = np.lexsort(tuple(-row for row in self._counts[::-1])).tolist()
        self._number_of: dict[str, list[int]] = {}
        for number, texts in enumerate(self._folded):
            for text in set(texts):
                self._number_of.setdefault(text, []).append(number)

    def find(self, text: str) -> tuple[int, ...]:
        """Returns the numbers of the classes with a MID or name; several classes can have the same name."""
        return tuple(self._number_of.get(text.strip().casefold(), ()))

    def split(self, text: str) -> tuple[str, ...]:
        """Returns the MIDs and names of a list with commas between, which may also be within a name."""
        parts = [part for part in text.split(",") if part.strip()]
        found = []
        while parts:
            ends = (end for end in range(len(parts), 1, -1) if self.find(",".join(parts[:end])))
            end = next(ends, 1)
            found.append(",".join(parts[:end]).strip())
            parts = parts[end:]
        return tuple(found)

    def kind_of(self, number: int) -> str:
        """Returns the kind by which a class is searched: the first of KINDS that the class has."""
        return KINDS[int(np.argmax(self._counts[:, number] > 0))]

    def describe(self, number: int) -> dict[str, Any]:
        """Returns MID, name, colour, kind of the search, and counts of a class."""
        counts = dict(zip(KINDS, self._counts[:, number].tolist(), strict=True))
        colour = format_colour(colour_of(self._labels[number]))
        about = {"mid": self.mids[number], "name": self._names[number], "colour": colour}
        return about | {"kind": self.kind_of(number)} | counts

    def search(self, text: str, start: int, count: int) -> FoundClasses:
        """Returns the classes whose name or MID contains a text, the best first.

        Args:
            text: part of a name or MID, in upper or lower case.
            start: number of classes to leave out.
            count: number of classes to return.

        Returns:
            Names equal to the text come first, then names that begin with the text, then all others; equally good
            classes come by their counts.
        """
        wanted = text.strip().casefold()
        ranks: tuple[list[int], ...] = ([], [], [])
        for number in self._order:
            name, mid = self._folded[number]
            if wanted in (name, mid):
                ranks[0].append(number)
            elif name.startswith(wanted):
                ranks[1].append(number)
            elif wanted in name or wanted in mid:
                ranks[2].append(number)
        found = [number for rank in ranks for number in rank]
        return FoundClasses(len(found), [self.describe(number) for number in found[start : start + count]])
