"""Reads the tables of an export as pandas DataFrames, from exported Parquet files or else from the records."""

import itertools
import posixpath
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import Split, find_splits, read_shard
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.export.tables import SCHEMAS, make_tables
from oi_tfrecord.explore.export.write_tables import read_tables
from oi_tfrecord.openimages.image_id import ANY_FORMAT
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.storage.optional_imports import import_optional

TABLES = {"images": "images", "boxes": "boxes", "labels": "image_labels"}
"""Names for `to_pandas` to names of exported tables."""

FOLDER = "tables"
"""Folder of exported tables that is looked for in the folder of the records, and beside that folder."""

_CATEGORIES = frozenset({"split", "mid", "source", "license", "shard"})
"""Columns of few distinct texts."""

_KEYS = ("image_id", "number")
"""Columns that the rows are sorted by."""


def read_frame(output_dir: str, split: str, table: str, exported: str = "") -> Any:
    """Returns the rows of a split as a DataFrame, sorted by ImageID and number.

    Args:
        output_dir: folder of the records.
        split: name of the split.
        table: one of TABLES.
        exported: folder that `oi-tfrecord export` wrote. By default, `tables` in the folder of the records or beside
            that folder, if its files belong to the records; else the records are read.

    Raises:
        ConfigError: for an unknown table, or if pandas is not installed.
        InputError: if there is no such split, a record cannot be read, or `exported` does not belong to the records.
    """
    if table not in TABLES:
        raise ConfigError("table", f"{table!r} is none of {', '.join(TABLES)}")
    _import_pandas()
    [found] = find_splits(output_dir, [split]).values()
    label_map = read_label_map(output_dir)
    names = {item.name: item.display_name or item.name for item in (label_map.items if label_map else ())}
    folder = _find_exported(output_dir, found, exported)
    rows = _read_exported(folder, split, TABLES[table]) if folder else _read_records(found, label_map, TABLES[table])
    return make_frame(rows, names)


def make_frame(rows: pa.Table, names: Mapping[str, str]) -> Any:
    """Makes a DataFrame of a table of an export.

    `pyarrow.Table.to_pandas` does not work in a process that keeps Arrow from importing pandas
    (`storage.optional_imports`).

    Args:
        rows: the table, see `tables.SCHEMAS`.
        names: display name by MID; a class without a name is named by its MID.

    Returns:
        The columns of the table, texts of few distinct values as categories; after `mid`, a category `name`.
    """
    pandas = _import_pandas()
    columns: dict[str, Any] = {}
    for field in rows.schema:
        if field.name in _CATEGORIES:
            codes, texts = _encode(rows[field.name])
            columns[field.name] = pandas.Categorical.from_codes(codes, texts)
        else:
            columns[field.name] = _make_values(pandas, rows[field.name], field)
        if field.name == "mid":
            # Two classes may have the same name, and categories are distinct.
            named = [names.get(mid, mid) for mid in texts]
            distinct = sorted(set(named))
            place = {name: code for code, name in enumerate(distinct)}
            columns["name"] = pandas.Categorical.from_codes(
                np.array([place[name] for name in named] + [-1], np.int32)[codes], distinct
            )
    return pandas.DataFrame(columns)


def _encode(values: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Returns the number of each text in the sorted distinct texts, -1 for null, and these texts."""
    encoded = values.dictionary_encode().combine_chunks()
    texts = encoded.dictionary.to_pylist()
    order = sorted(range(len(texts)), key=lambda index: str(texts[index]))
    rank = np.full(len(texts) + 1, -1, np.int32)
    rank[order] = np.arange(len(texts))
    return rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)], [texts[index] for index in order]


def _make_values(pandas: Any, values: pa.ChunkedArray, field: pa.Field) -> Any:
    if pa.types.is_string(field.type):
        return pandas.array(values.to_pylist(), dtype="string")
    if pa.types.is_floating(field.type):
        return values.fill_null(float("nan")).to_numpy()
    if not field.nullable:
        return values.to_numpy()
    is_null = values.is_null().to_numpy()
    if pa.types.is_boolean(field.type):
        return pandas.arrays.BooleanArray(values.fill_null(False).to_numpy(), is_null)
    return pandas.arrays.IntegerArray(values.fill_null(0).to_numpy(), is_null)


def _read_records(split: Split, label_map: LabelMap | None, table: str) -> pa.Table:
    parts = [shard.tables[table] for shard in read_tables(split, label_map, [table])]
    rows = pa.concat_tables([SCHEMAS[table].empty_table(), *parts])
    return rows.sort_by([(key, "ascending") for key in _KEYS if key in rows.schema.names])


def _read_exported(folder: str, split: str, table: str) -> pa.Table:
    with storage.open_read(_path(folder, split, table)) as stream:
        return pq.read_table(stream, schema=SCHEMAS[table])


def _find_exported(output_dir: str, split: Split, exported: str) -> str:
    """Returns the folder of exported tables that belong to the records; empty if there is none."""
    if exported:
        if problem := _compare(exported, split):
            raise InputError(exported, problem, f"Run `oi-tfrecord export {output_dir} --to={exported}` again")
        return exported
    beside = storage.join(posixpath.dirname(output_dir.rstrip("/")) or ".", FOLDER)
    folders = (storage.join(output_dir, FOLDER), beside)
    return next((folder for folder in folders if not _compare(folder, split)), "")


def _compare(folder: str, split: Split) -> str:
    """Returns why the exported tables of a folder are not those of a split; empty if they are."""
    paths = [_path(folder, split.name, table) for table in TABLES.values()]
    found = [info for path in paths for info in storage.match(storage.escape(path))]
    if len(found) < len(paths):
        return f"it has no tables of the split {split.name!r}"
    shards = [info for path in split.shards for info in storage.match(storage.escape(path))]
    if min(info.modified for info in found) < max((info.modified for info in shards), default=0):
        return "its tables are older than the records"
    with storage.open_read(_path(folder, split.name, "images")) as stream:
        images = pq.read_table(stream, columns=["image_id", "bytes", "shard", "record"])
    counts = _count(images["shard"])
    if set(counts) - {posixpath.basename(path) for path in split.shards}:
        return "its tables name other shards"
    if any(not _has_first_image(images, split, shard) for shard in (*split.shards[:1], *split.shards[-1:])):
        return "its tables have other images than the records"
    if split.manifest is None:
        return ""
    written = {shard["file"]: shard["records"] for shard in split.manifest["shards"] if shard["records"]}
    if counts != written:
        return "its tables have other numbers of records than the shards"
    with storage.open_read(_path(folder, split.name, "boxes")) as stream:
        boxes = pq.read_metadata(stream).num_rows
    return (
        ""
        if boxes == sum(item["boxes"] for item in split.manifest["classes"])
        else "its tables have another number of boxes"
    )


def _has_first_image(images: pa.Table, split: Split, shard: str) -> bool:
    """Returns whether a table of images has the row of the first record of a shard."""
    first = [data for _, data in itertools.islice(read_shard(shard), 1)]
    name = posixpath.basename(shard)
    of_shard = images.filter(pc.and_(pc.equal(images["shard"], name), pc.equal(images["record"], 0)))
    expected = make_tables(
        split.name, name, first, None, any_ids=split.config.get("image_id_format") == ANY_FORMAT
    ).tables["images"]
    return of_shard.to_pylist() == expected.select(images.schema.names).to_pylist()


def _count(values: pa.ChunkedArray) -> Counter[str]:
    return Counter({row["values"]: row["counts"] for row in pc.value_counts(values).to_pylist()})


def _path(folder: str, split: str, table: str) -> str:
    return storage.join(folder, table, f"{split}.parquet")


def _import_pandas() -> Any:
    return import_optional("pandas", extra="notebook", field="to_pandas", need="DataFrames need pandas")
