"""The file names of shards: ours, and those of third-party records."""

import re
from typing import NamedTuple

SINGLE_FILE_ENDINGS = (".tfrecord", ".record", ".tfrecords")
"""Ends of the names of third-party datasets in one file, such as `train.record`."""

_OURS = re.compile(r"(?P<split>.+)\.tfrecord-(?P<shard>[0-9]{5})-of-(?P<count>[0-9]{5}|1[0-9]{5})")

_ANY = re.compile(
    r"(?P<split>.+?)(\.tfrecord|\.record)?-(?P<shard>[0-9]{5,})-of-(?P<count>[0-9]{5,})(\.tfrecord|\.record)?"
)


class ShardName(NamedTuple):
    """What the file name of a shard says: the split, the number of the shard from 0, and the number of shards."""

    split: str
    shard: int
    num_shards: int


def shard_file(split: str, shard: int, num_shards: int) -> str:
    """Returns the file name of a shard, `<split>.tfrecord-%05d-of-%05d`."""
    return f"{split}.tfrecord-{shard:05d}-of-{num_shards:05d}"


def parse_shard_file(name: str) -> ShardName | None:
    """Parses a file name that `shard_file` makes; any other name gives None."""
    return _parse(_OURS.fullmatch(name))


def parse_any_shard_file(name: str) -> ShardName | None:
    """Parses the file name of a shard, ours or not: `NAME-00000-of-00010`, with `.tfrecord` or `.record` around it.

    Args:
        name: The base name.

    Returns:
        What it says, with NAME as the split; None for any other name.
    """
    return _parse(_ANY.fullmatch(name))


def _parse(match: re.Match[str] | None) -> ShardName | None:
    return ShardName(match["split"], int(match["shard"]), int(match["count"])) if match else None
