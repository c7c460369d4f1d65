"""Reads a split for training without TensorFlow: in order, or any record by its number."""

import bisect
import copy
import functools
import io
import itertools
import operator
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, SupportsIndex, TypeVar, overload

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.shard_index import check_whole, count_records, locate_records, read_record_at, read_whole_shard
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.training_values import (
    check_keys,
    further_values,
    read_image_size,
    torchvision_values,
    training_values,
)
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.example_reader import Values, get_strings, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY, MASK_KEY

if TYPE_CHECKING:
    from PIL import Image

    from oi_tfrecord.explore.notebook import RecordPicture
    from oi_tfrecord.records.label_map import LabelMap

TARGETS = ("torchvision",)

Item = TypeVar("Item")
"""What a record is given as, which `target` decides."""

_THREADS, _AHEAD_BYTES = 16, 64 << 20
"""Of a batch on remote storage, whose records are fetched at once."""


class RecordDataset(Generic[Item]):
    """The records of a split, as a PyTorch `DataLoader`, Grain and other readers of sequences take them.

    The dataset looks up a record by the index of its shard (`shard_index`), which it reads when the shard is first
    used (16 bytes of memory per record); it scans a shard without an index. It checks the CRCs of every record, and
    raises an InputError that names the shard where a shard is not whole. It can be sent to worker processes; each opens
    its own files. A slice, such as `dataset[rank::world]`, is a dataset of those records, and reads nothing.
    """

    @overload
    def __init__(
        self: "RecordDataset[dict[str, Any]]",
        output_dir: str | os.PathLike[str],
        split: str,
        *,
        decode: bool = ...,
        image_size: tuple[int, int] | None = ...,
        storage_options: Mapping[str, Any] | None = ...,
        masks: bool = ...,
        keys: Sequence[str] = ...,
        target: None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: "RecordDataset[tuple[np.ndarray, dict[str, Any]]]",
        output_dir: str | os.PathLike[str],
        split: str,
        *,
        decode: Literal[True] = ...,
        image_size: tuple[int, int] | None = ...,
        storage_options: Mapping[str, Any] | None = ...,
        masks: bool = ...,
        keys: Sequence[str] = ...,
        target: Literal["torchvision"],
    ) -> None: ...

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        split: str,
        *,
        decode: bool = True,
        image_size: tuple[int, int] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        masks: bool = False,
        keys: Sequence[str] = (),
        target: Literal["torchvision"] | None = None,
    ) -> None:
        """Finds the shards of a split, and compares their sizes with the manifest.

        Args:
            output_dir: Folder of the records, on any filesystem.
            split: Name of the split.
            decode: Whether `image` is the pixels, uint8 [height, width, 3] RGB, or the JPEG, bytes.
            image_size: (height, width) that pixels are resized to, without keeping their aspect: normalised boxes stay
                right. None keeps the size of each image.
            storage_options: How an object store is reached (`storage.store_settings.StoreSettings`), such as
                `{"endpoint": "http://host", "region": "eu-west-1", "anonymous": True}`, in this process and in those
                that the dataset is sent to. By default, the environment says how.
            masks: Whether records also have `masks`, uint8 [boxes, height, width] of the size of `image`, 1 in the
                object; [0, height, width] where the records have no masks.
            keys: Further keys of the records, such as `image/filename`; their values come under the names of the keys.
            target: None gives each record as a dict; "torchvision" as (image, target), see
                `training_values.torchvision_values`.

        Raises:
            ConfigError: For a bad argument, or a bad setting of the store.
            InputError: If there is no such split, or a shard of the split is missing, short or of another conversion.
        """
        if target is not None and target not in TARGETS:
            raise ConfigError("target", f"must be None or one of {', '.join(map(repr, TARGETS))}, not {target!r}")
        if target and not decode:
            raise ConfigError("decode", f"must be True with target={target!r}, whose images are pixels")
        check_keys(keys)
        output_dir = storage.expand(output_dir)
        self._output_dir = output_dir
        self._split = split
        self._storage_options = dict(storage_options or {})
        storage.use_store(output_dir, self._storage_options)
        [found] = find_splits(output_dir, [split]).values()
        check_whole(found)
        self._shards = found.shards
        self._sizes = [found.sizes[posixpath.basename(path)] for path in found.shards]
        self._decode = decode
        self._image_size = None if image_size is None else read_image_size(image_size)
        self._masks = masks
        self._keys = tuple(keys)
        self._target = target
        self._places: dict[int, np.ndarray] = {}
        counts = count_records(found)
        if counts is None:
            places = [locate_records(path, size, None) for path, size in zip(self._shards, self._sizes, strict=True)]
            self._places = dict(enumerate(places))
            counts = list(map(len, places))
        self._counts = counts
        self._ends = list(itertools.accumulate(counts))
        self._selected = range(self._ends[-1])

    def __len__(self) -> int:
        return len(self._selected)

    def __repr__(self) -> str:
        settings = {"image_size": self._image_size, "masks": self._masks, "keys": self._keys, "target": self._target}
        named = "".join(f", {name}={value!r}" for name, value in settings.items() if value)
        shown = f"{self._output_dir!r}, {self._split!r}{'' if self._decode else ', decode=False'}{named}"
        part = "" if len(self) == self._ends[-1] else f" of {self._ends[-1]:,}"
        shards = f"{len(self._shards):,} shard{'s' if len(self._shards) > 1 else ''}"
        return f"<RecordDataset({shown}): {len(self):,}{part} records in {shards}>"

    @overload
    def __getitem__(self, index: SupportsIndex) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "RecordDataset[Item]": ...

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        """Returns a record (`image` and the values of `training_values.VALUE_SPECS`), or a part of the dataset.

        Args:
            index: Number of the record in the order of the shards, from 0, or from -1 at the end; a slice gives the
                dataset of the records that it names.

        Raises:
            IndexError: If there is no such record.
            InputError: If the record or its shard is damaged, missing or short; the error names the shard.
        """
        if isinstance(index, slice):
            part = copy.copy(self)
            part._selected = self._selected[index]
            return part
        return self._values(self._read(self._number_of(index)))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Item]:
        """Returns the records of a batch, as `DataLoader` asks for them; on remote storage, fetches many at once.

        Args:
            indices: Numbers as `__getitem__` takes them.

        Raises:
            IndexError: If there is no such record.
            InputError: See `__getitem__`.
        """
        numbers = [self._number_of(index) for index in indices]
        if storage.is_local(self._output_dir):
            return [self._values(self._read(number)) for number in numbers]
        from oi_tfrecord.storage.read_ahead import map_in_order

        read = map_in_order(
            self._read, numbers, threads=_THREADS, max_bytes=_AHEAD_BYTES, size_of=len, items_per_task=1
        )
        return [self._values(data) for data in read]

    def __iter__(self) -> Iterator[Item]:
        """Yields the values of each record in order."""
        if self._selected != range(self._ends[-1]):
            yield from (self[index] for index in range(len(self)))
            return
        for path, count in zip(self._shards, self._counts, strict=True):
            for data in read_whole_shard(path, count):
                yield self._values(data)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes the state of a dataset that was sent to this process, and the way to its store."""
        self.__dict__ |= state
        storage.use_store(self._output_dir, self._storage_options)

    @functools.cached_property
    def label_map(self) -> "LabelMap":
        """The label map of the folder: the class of each id.

        Raises:
            InputError: If the folder has no label map.
        """
        from oi_tfrecord.dataset.label_map import read_label_map

        if (label_map := read_label_map(self._output_dir)) is None:
            raise InputError(self._output_dir, "there is no label_map.pbtxt", "Put the label map of the records there")
        return label_map

    @property
    def class_names(self) -> dict[int, str]:
        """The name of each class by its id in `labels`; no class has the id 0, which detectors take as the background.

        Raises:
            InputError: If the folder has no label map.
        """
        return {item.id: item.display_name or item.name for item in self.label_map.items}

    def show(self, index: int) -> "RecordPicture":
        """Returns a record as a picture with its boxes and masks, which a notebook shows.

        Args:
            index: Number of the record, as for `dataset[index]`.

        Raises:
            IndexError: If there is no such record.
            InputError: If the record has no image that decodes.
        """
        from oi_tfrecord.dataset.label_map import read_label_map
        from oi_tfrecord.explore.notebook import draw_record

        number = self._number_of(index)
        return draw_record(self._read(number), f"{self._split} {number}", read_label_map(self._output_dir))

    def to_pandas(self, table: str, exported: str = "") -> Any:
        """Returns the rows of the split as a `pandas.DataFrame`, with the columns that `oi-tfrecord export` writes.

        The rows are sorted by ImageID and number. Texts of few distinct values are categories; boxes and labels also
        have the category `name`, the display name of their class. pandas comes with the extra `notebook`.

        Args:
            table: "images", "boxes" or "labels".
            exported: Folder that `oi-tfrecord export` wrote, which is read much faster than the records. By default,
                `tables` in the folder of the records or beside that folder, if its files belong to the records; else
                the records are read.

        Raises:
            ConfigError: For an unknown table, for a slice of a dataset, or if pandas is not installed.
            InputError: If a record cannot be read, or `exported` does not belong to the records.
        """
        from oi_tfrecord.explore.export.frames import read_frame

        if self._selected != range(self._ends[-1]):
            raise ConfigError(
                "to_pandas", "takes a whole split: call it before the slice, and select rows of the result"
            )
        return read_frame(self._output_dir, self._split, table, exported)

    def _number_of(self, index: SupportsIndex) -> int:
        """Returns the number of a record in the split."""
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"there is no record {number} of {len(self)} in {self._split!r} of {self._output_dir}")
        return self._selected[number]

    def _read(self, number: int) -> bytes:
        shard = bisect.bisect_right(self._ends, number)
        record = number - (self._ends[shard - 1] if shard else 0)
        return read_record_at(self._shards[shard], self._places_of(shard)[record], record)

    def _places_of(self, shard: int) -> np.ndarray:
        if shard not in self._places:
            self._places[shard] = locate_records(self._shards[shard], self._sizes[shard], self._counts[shard])
        return self._places[shard]

    def _values(self, data: bytes) -> Any:
        example = parse_example(data)
        encoded = example[ENCODED_KEY]
        jpeg = encoded[0] if encoded else b""
        image = _decode_image(jpeg, self._image_size) if self._decode else jpeg
        values = {"image": image, **training_values(example), **further_values(example, self._keys)}
        if self._masks:
            values["masks"] = _read_masks(example, self._image_size or (int(values["height"]), int(values["width"])))
        return torchvision_values(values, self._keys) if self._target else values


def _read_masks(example: Mapping[str, Values], size: tuple[int, int]) -> np.ndarray:
    """Returns the masks of a record, uint8 [boxes, height, width]; `size` is (height, width)."""
    from oi_tfrecord.images.mask_png import read_mask, sample_mask

    height, width = size
    masks = [sample_mask(read_mask(png), width, height) for png in get_strings(example, MASK_KEY)]
    return np.stack(masks) if masks else np.zeros((0, height, width), np.uint8)


def _decode_image(encoded: bytes, image_size: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        if image_size:
            height, width = image_size
            # The decoder may scale by a power of two, as long as the result is not smaller than `image_size`.
            picture.draft("RGB", (width, height))
            return np.array(_as_rgb(picture).resize((width, height), Image.Resampling.BILINEAR))
        return np.array(_as_rgb(picture))


def _as_rgb(picture: "Image.Image") -> "Image.Image":
    """Returns a picture in RGB; `convert` copies a picture that is in RGB already."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")
