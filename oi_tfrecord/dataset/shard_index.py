"""The index files beside the shards, and reads of records that name a shard which is not whole.

The index of `train.tfrecord-00000-of-00010` is `index/train-00000-of-00010.idx`, which no pattern of shards matches. It
has the form that DALI's `tfrecord` reader takes (`records.tfrecord`). A shard without an index is scanned.
"""

import contextlib
import posixpath
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import INDEX_FOLDER
from oi_tfrecord.dataset.splits import Split, find_records, read_record, read_shard
from oi_tfrecord.errors import InputError, NotFoundError
from oi_tfrecord.records.shard_names import parse_any_shard_file
from oi_tfrecord.records.tfrecord import FOOTER_BYTES, FramingError, format_index, parse_index

_ENDING = ".idx"

_REMEDY = "Restore it from a copy, or convert again with --overwrite; `oi-tfrecord verify` lists all faults"

_CUT_OFF_REMEDY = "Restore the shard from a copy; delete the index only if it is that of another conversion"

_INDEX_REMEDY = "Delete it: the same convert command writes it again, and a shard without an index is scanned"


def index_file(shard: str) -> str:
    """Returns the path of the index of a shard in its output folder, given the base name of the shard."""
    named = parse_any_shard_file(shard)
    name = f"{named.split}-{named.shard:05d}-of-{named.num_shards:05d}" if named else shard
    return posixpath.join(INDEX_FOLDER, name + _ENDING)


def write_index(output_dir: str, shard: str, lengths: Iterable[int], temporary_folder: str) -> None:
    """Writes the index of a shard.

    Args:
        output_dir: Folder of the shard.
        shard: Its base name.
        lengths: Bytes of the data of each record, in order.
        temporary_folder: See `storage.create`.
    """
    storage.make_folder(storage.join(output_dir, INDEX_FOLDER))
    storage.write(storage.join(output_dir, index_file(shard)), format_index(lengths), temporary_folder)


def write_missing_indexes(output_dir: str, shards: Iterable[str], temporary_folder: str = "") -> None:
    """Scans the shards that have no index, such as those of an earlier version, and writes their indexes.

    Args:
        output_dir: Folder of the shards.
        shards: Their base names.
        temporary_folder: See `storage.create`; the folder of the indexes by default.

    A damaged or missing shard is a fault that `verify` finds, and no reason to lose the split that is written now. A
    storage that fails is raised, as the last step is tried again.
    """
    there = set(find_index_files(output_dir))
    for shard in shards:
        path = storage.join(output_dir, shard)
        if index_file(shard) not in there and storage.exists(path):
            with contextlib.suppress(InputError):
                lengths = scan_shard(path)[:, 1].tolist()
                write_index(output_dir, shard, lengths, temporary_folder or storage.join(output_dir, INDEX_FOLDER))


def find_index_files(output_dir: str, split: str = "") -> list[str]:
    """Returns the indexes in a folder, as `index_file` names them; those of one split if `split` is given."""
    found = storage.match(storage.join(storage.escape(output_dir), INDEX_FOLDER, "*" + _ENDING))
    names = [posixpath.basename(info.path) for info in found]
    parsed = {name: parse_any_shard_file(name.removesuffix(_ENDING)) for name in names}
    return [
        posixpath.join(INDEX_FOLDER, name)
        for name, named in parsed.items()
        if named and name == f"{named.split}-{named.shard:05d}-of-{named.num_shards:05d}{_ENDING}"
        if not split or named.split == split
    ]


def read_index(output_dir: str, shard: str) -> np.ndarray | None:
    """Returns the places of the records of a shard by its index, see `parse_index`; None without an index.

    Raises:
        InputError: If the file is no index.
    """
    path = storage.join(output_dir, index_file(shard))
    try:
        return parse_index(storage.read(path))
    except FileNotFoundError:
        return None
    except (ValueError, OverflowError) as error:
        raise InputError(path, f"is no index of {shard}: {error}", _INDEX_REMEDY) from error


def scan_shard(path: str) -> np.ndarray:
    """Returns the places of the records of a shard by their headers; see `find_records`.

    Raises:
        InputError: If the shard is missing or damaged.
    """
    try:
        return find_records(path)
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error
    except FileNotFoundError as error:
        raise _missing(path) from error


def locate_records(path: str, size: int, records: int | None) -> np.ndarray:
    """Returns the places of the records of a shard, by its index or else by a scan.

    Args:
        path: Path of the shard.
        size: Bytes of the shard.
        records: Number of its records by the manifest; None without a manifest.

    Returns:
        int64 array [records, 2]: byte offset and length of each record's data.

    Raises:
        InputError: If the index contradicts the size or the manifest; if a shard without an index is damaged.
    """
    output_dir, shard = posixpath.split(path)
    places = read_index(output_dir, shard)
    named, remedy = storage.join(output_dir, index_file(shard)), _INDEX_REMEDY
    if places is None:
        named, remedy, places = path, _REMEDY, scan_shard(path)
    end = int(places[-1].sum()) + FOOTER_BYTES if len(places) else 0
    if end != size:
        # With neither index nor manifest, the scan of a shard that was cut between two records finds nothing wrong.
        is_cut_off = records is None and size < end
        problem = f"its records end at byte {end}, and {shard} has {size} bytes"
        raise InputError(named, problem, _CUT_OFF_REMEDY if is_cut_off else remedy)
    if records is not None and len(places) != records:
        raise InputError(named, f"has {len(places)} records, and the manifest {records}", remedy)
    return places


def count_records(split: Split) -> list[int] | None:
    """Returns the number of records of each shard by the manifest, else by the indexes; None if a shard has neither.

    Raises:
        InputError: If an index contradicts the size of its shard.
    """
    if split.manifest is not None:
        return [int(shard["records"]) for shard in split.manifest["shards"]]
    there = set(find_index_files(posixpath.dirname(split.shards[0]), split.name))
    if not there.issuperset(index_file(posixpath.basename(path)) for path in split.shards):
        return None
    return [len(locate_records(path, split.sizes[posixpath.basename(path)], None)) for path in split.shards]


def check_whole(split: Split) -> None:
    """Compares the sizes of the shards of a split with its manifest, and their names with each other without one.

    Raises:
        InputError: If a shard is missing, or has another size than the manifest says; the error names the shard.
    """
    if split.manifest is None:
        _check_names(split)
        _warn_of_empty_shards(split)
        return
    for path, stated in zip(split.shards, _stated_sizes(split), strict=True):
        found = split.sizes.get(posixpath.basename(path))
        if found is None:
            raise _missing(path)
        if found != stated:
            problem = "is empty" if not found else f"has {found} bytes"
            raise InputError(path, f"{problem}, and the manifest says {stated} bytes", _REMEDY)


def _stated_sizes(split: Split) -> Sequence[int]:
    try:
        return [int(shard["bytes"]) for shard in (split.manifest or {})["shards"] if int(shard["records"]) >= 0]
    except (KeyError, TypeError, ValueError) as error:
        path = storage.join(posixpath.dirname(split.shards[0]), "manifest.json")
        problem = f"does not say the bytes and records of each shard of {split.name!r}"
        raise InputError(path, problem, "Convert again with --overwrite") from error


def _check_names(split: Split) -> None:
    """Raises an InputError if the names of shards, such as NAME-00000-of-00010, show that one is missing."""
    names = [parse_any_shard_file(posixpath.basename(path)) for path in split.shards]
    totals = sorted({name.num_shards for name in names if name})
    if not totals:
        return
    if len(totals) > 1:
        problem = f"there are shards of {totals[0]} and of {totals[1]} in the folder"
        raise InputError(split.shards[0], problem, "Leave the shards of one conversion in the folder")
    missing = sorted(set(range(totals[0])) - {name.shard for name in names if name})
    if missing:
        path, named = next((path, name) for path, name in zip(split.shards, names, strict=True) if name)
        start, _, end = path.rpartition(f"{named.shard:05d}-of-")
        raise _missing(f"{start}{missing[0]:05d}-of-{end}")


def _warn_of_empty_shards(split: Split) -> None:
    """Warns of shards without a byte: a writer with fewer records than shards leaves these, a lost upload as well."""
    empty = [path for path in split.shards if split.sizes.get(posixpath.basename(path)) == 0]
    if empty:
        problem = f"{len(empty)} of {len(split.shards)} shards are empty, such as {empty[0]}"
        warnings.warn(f"{problem}, and no manifest says whether records are missing", stacklevel=4)


def read_whole_shard(path: str, records: int | None) -> Iterator[bytes]:
    """Yields the serialised Example of each record of a shard, its CRCs checked.

    Args:
        path: Path of the shard.
        records: Number of its records that the manifest or the index says; None if unknown.

    Raises:
        InputError: If the shard is missing or damaged, or has another number of records; the error names the shard.
    """
    count = 0
    try:
        for _, data in read_shard(path):
            yield data
            count += 1
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error
    except FileNotFoundError as error:
        raise _missing(path) from error
    if records is not None and count != records:
        raise InputError(path, f"has {count} records, and {records} are expected", _REMEDY)


def read_record_at(path: str, place: np.ndarray, record: int) -> bytes:
    """Returns the serialised Example of a record, its CRCs checked.

    Args:
        path: Path of the shard.
        place: int64 array [2], byte offset and length of the record's data.
        record: Number of the record in the shard.

    Raises:
        InputError: If the shard is missing, short or damaged; the error names the shard.
    """
    offset, length = place.tolist()
    try:
        return read_record(path, offset, length, record)
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error
    except FileNotFoundError as error:
        raise _missing(path) from error


def _missing(path: str) -> NotFoundError:
    return NotFoundError(path, "is missing", _REMEDY)
