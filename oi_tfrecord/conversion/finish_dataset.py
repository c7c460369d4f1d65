"""What follows when all tables are read, and when all shards are written."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypedDict

from oi_tfrecord.conversion.finish import FinishJob, finish_dataset
from oi_tfrecord.dataset.accounts import RangeAccount, read_shard_accounts, sum_accounts
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.input_content import contents_of_ranges, decode_contents, encode_contents, have_changed
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.packed_label_map import unpack


class Finished(TypedDict):
    """What is there when all ranges are read and all shards are written."""

    accounts: Iterable[RangeAccount]
    shards: Iterable[int]


def finish(results: Finished, job: FinishJob, label_map: bytes, finished: Collection[int]) -> dict[str, object]:
    """Writes label map, rejects and manifest once all ranges and shards are done.

    Args:
        results: of this run.
        job: the end of the conversion.
        label_map: packed.
        finished: shards that an earlier run finished.

    Returns:
        The manifest of the split.
    """
    with relay_errors(job.work):
        shards = read_shard_accounts(job.work, {*results["shards"], *finished})
        return finish_dataset(job, sum_accounts(results["accounts"], shards), unpack(label_map))


def without_counts(account: RangeAccount) -> RangeAccount:
    """Returns an account that only identifies the bytes of its range, as one worker gets the accounts of all ranges."""
    return dataclasses.replace(account, rejected={}, dropped={}, class_rows={}, values={}, found_ids="")


def store_inputs(packed: bytes, work: WorkFolder, accounts: Iterable[RangeAccount]) -> bytes:
    """Stores what the tables held in the work folder, for a run that resumes this one.

    Args:
        packed: the packed label map.
        work: the work folder.
        accounts: of all ranges.

    Returns:
        The packed label map, which shards are written with.
    """
    with relay_errors(work):
        contents = contents_of_ranges(accounts)
        earlier = work.read_inputs()
        if earlier is None:
            work.write_inputs(encode_contents(contents))
        elif have_changed(decode_contents(earlier), contents):
            problem = "an input changed since the run that is resumed, with the same size and time of change"
            raise InputError(work.path, problem, "Delete this folder, and run the same command again")
    return packed


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Returns the sum of counts by key; sums may be added up again."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
