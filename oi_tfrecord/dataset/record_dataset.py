"""Reads a split for training without TensorFlow: in order, or any record by its number."""

import bisect
import io
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.splits import find_records, find_splits, read_record, read_shard
from oi_tfrecord.dataset.training_values import training_values
from oi_tfrecord.records.example_reader import Values, get_strings, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY, MASK_KEY

if TYPE_CHECKING:
    from oi_tfrecord.explore.notebook import RecordPicture


class RecordDataset:
    """The records of a split, as a PyTorch `DataLoader` and other readers of sequences take them.

    The dataset looks up a record by the headers of its shard, which it reads when the shard is first used (16 bytes
    of memory per record). It can be sent to worker processes; each opens its own files.
    """

    def __init__(
        self,
        output_dir: str,
        split: str,
        *,
        decode: bool = True,
        image_size: tuple[int, int] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        masks: bool = False,
    ):
        """Finds the shards of a split.

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

        Raises:
            ConfigError: For a bad setting of the store.
            InputError: If there is no such split.
        """
        self._output_dir = output_dir
        self._split = split
        self._storage_options = dict(storage_options or {})
        storage.use_store(output_dir, self._storage_options)
        [found] = find_splits(output_dir, [split]).values()
        self._shards = found.shards
        self._decode = decode
        self._image_size = image_size
        self._masks = masks
        self._places: dict[int, np.ndarray] = {}
        if found.manifest is not None:
            counts = [shard["records"] for shard in found.manifest["shards"]]
        else:
            counts = [len(self._places_of(shard)) for shard in range(len(self._shards))]
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns the values of a record: `image`, and those of `training_values.VALUE_SPECS`.

        Args:
            index: Number of the record in the order of the shards, from 0, or from -1 at the end.

        Raises:
            IndexError: If there is no such record.
        """
        return self._values(self._read(self._number_of(index)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields the values of each record in order, and checks the CRCs of the records."""
        for shard in self._shards:
            for _, data in read_shard(shard):
                yield self._values(data)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes the state of a dataset that was sent to this process, and the way to its store."""
        self.__dict__ |= state
        storage.use_store(self._output_dir, self._storage_options)

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
            ConfigError: For an unknown table, or if pandas is not installed.
            InputError: If a record cannot be read, or `exported` does not belong to the records.
        """
        from oi_tfrecord.explore.export.frames import read_frame

        return read_frame(self._output_dir, self._split, table, exported)

    def _number_of(self, index: int) -> int:
        """Returns the number of a record in the split."""
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"there is no record {index} of {len(self)}")
        return number

    def _read(self, number: int) -> bytes:
        shard = bisect.bisect_right(self._ends, number)
        first = self._ends[shard - 1] if shard else 0
        offset, length = self._places_of(shard)[number - first].tolist()
        return read_record(self._shards[shard], offset, length)

    def _places_of(self, shard: int) -> np.ndarray:
        if shard not in self._places:
            self._places[shard] = find_records(self._shards[shard])
        return self._places[shard]

    def _values(self, data: bytes) -> dict[str, Any]:
        example = parse_example(data)
        encoded = example[ENCODED_KEY]
        jpeg = encoded[0] if encoded else b""
        image = _decode_image(jpeg, self._image_size) if self._decode else jpeg
        values = {"image": image, **training_values(example)}
        if self._masks:
            values["masks"] = _read_masks(example, self._image_size or (int(values["height"]), int(values["width"])))
        return values


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
            return np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        return np.asarray(picture.convert("RGB"))
