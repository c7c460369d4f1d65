"""Reads a split for training without TensorFlow: in order, or any record by its number."""

import bisect
import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from oi_tfrecord.dataset.splits import find_records, find_splits, read_record, read_shard
from oi_tfrecord.dataset.training_values import sample_values
from oi_tfrecord.records.example_reader import parse_example


class RecordDataset:
    """The records of a split, as a PyTorch `DataLoader` and other readers of sequences take them.

    A number is looked up through the headers of its shard, which are read when the shard is first used (16 bytes
    of memory per record). It can be sent to worker processes; each opens files of its own.
    """

    def __init__(self, output_dir: str, split: str, *, decode: bool = True, image_size: tuple[int, int] | None = None):
        """Initializes the instance.

        Args:
              output_dir: folder of the records, on any filesystem.
              split: its name.
              decode: whether `image` is the pixels, uint8 [height, width, 3] RGB, or the JPEG, bytes.
              image_size: (height, width) that pixels are resized to, without keeping their aspect: normalised boxes
                stay right. None leaves them.

        Raises:
              InputError: if there is no such split.
        """
        [found] = find_splits(output_dir, [split]).values()
        self._shards = found.shards
        self._decode = decode
        self._image_size = image_size
        self._places: dict[int, np.ndarray] = {}
        if found.manifest is not None:
            counts = [shard["records"] for shard in found.manifest["shards"]]
        else:
            counts = [len(self._places_of(shard)) for shard in range(len(self._shards))]
        self._ends = list(itertools.accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns the values of a record: `image`, and those of `sample_values.KINDS`.

        Args:
            index: number of the record, from 0 in the order of the shards.
        """
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"there is no record {index} of {len(self)}")
        shard = bisect.bisect_right(self._ends, index)
        first = self._ends[shard - 1] if shard else 0
        offset, length = self._places_of(shard)[index - first].tolist()
        return self._values(read_record(self._shards[shard], offset, length))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yields the values of each record in order, the CRCs of records checked."""
        for shard in self._shards:
            for _, data in read_shard(shard):
                yield self._values(data)

    def _places_of(self, shard: int) -> np.ndarray:
        if shard not in self._places:
            self._places[shard] = find_records(self._shards[shard])
        return self._places[shard]

    def _values(self, data: bytes) -> dict[str, Any]:
        example = parse_example(data)
        encoded = example["image/encoded"]
        image: Any = encoded[0] if encoded else b""
        if self._decode:
            image = _decode_image(image, self._image_size)
        return {"image": image, **sample_values(example)}


def _decode_image(encoded: bytes, image_size: tuple[int, int] | None) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        if image_size:
            height, width = image_size
            # Lets the decoder scale by a power of two, as long as the result is not smaller than what is asked for.
            picture.draft("RGB", (width, height))
            return np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        return np.asarray(picture.convert("RGB"))
