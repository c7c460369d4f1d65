"""Compares the index files in the folder `index` with the shards that they belong to."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from oi_tfrecord.dataset.shard_index import find_index_files, index_file, read_index
from oi_tfrecord.dataset.splits import Split
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.tfrecord import HEADER_BYTES
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file


def check_index(path: str, split: str, offsets: Sequence[int]) -> Iterator[DatasetFault]:
    """Yields a fault if the index of a shard does not list the records of the shard; a shard need not have an index.

    Args:
        path: path of the shard, whose framing is undamaged.
        split: name of its split.
        offsets: byte offset of each of its records.
    """
    output_dir, shard = posixpath.split(path)
    file = index_file(shard)
    try:
        places = read_index(output_dir, shard)
    except InputError as error:
        yield fault_of_file(split, file, FaultKind.INDEX, error.problem)
        return
    if places is not None and not np.array_equal(places[:, 0] - HEADER_BYTES, offsets):
        detail = f"its {len(places)} records are not at the places of the {len(offsets)} records of {shard}"
        yield fault_of_file(split, file, FaultKind.INDEX, detail)


def check_index_files(output_dir: str, splits: Mapping[str, Split]) -> Iterator[DatasetFault]:
    """Yields the indexes of a folder that belong to no shard of their split.

    Args:
        output_dir: folder of the records.
        splits: the splits to verify.
    """
    for split in splits.values():
        named = {index_file(posixpath.basename(path)) for path in split.shards}
        for file in find_index_files(output_dir, split.name):
            if file not in named:
                yield fault_of_file(split.name, file, FaultKind.INDEX, "there is no such shard")
