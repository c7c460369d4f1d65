"""Exports records as tables: Parquet files, or a schema of a PostgreSQL database."""

import dataclasses
import posixpath
from collections.abc import Iterator, Sequence
from typing import TextIO

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import Split, find_splits, read_shard
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.export.parquet import ParquetTarget
from oi_tfrecord.explore.export.postgres import DEFAULT_SCHEMA, MAX_SCHEMA_BYTES, PREFIXES, PostgresTarget
from oi_tfrecord.explore.export.rows import SCHEMAS, RecordError, ShardRows, make_rows
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.tfrecord import FramingError

_REMEDY = "`oi-tfrecord verify` lists all faults; convert again, or give only other splits with --splits"


@dataclasses.dataclass(frozen=True)
class ExportJob:
    """What to export.

    Attributes:
        output_dir: folder of the records.
        to: folder of the Parquet files, or URL of a PostgreSQL database.
        schema: of the database; empty for the default.
        splits: names of the splits; all if empty.
    """

    output_dir: str
    to: str
    schema: str = ""
    splits: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.schema and not self.is_database:
            raise ConfigError("schema", f"is for PostgreSQL, but --to={self.to} is a folder")
        if len(self.schema.encode()) > MAX_SCHEMA_BYTES or "\0" in self.schema:
            raise ConfigError("schema", f"{self.schema!r} is no name of at most {MAX_SCHEMA_BYTES} bytes")

    @property
    def is_database(self) -> bool:
        """Whether the target is a database."""
        return self.to.startswith(PREFIXES)


def export(job: ExportJob, out: TextIO) -> dict[str, dict[str, int]]:
    """Runs an export.

    Args:
        job: what to export; splits that are at the target are replaced.
        out: where the counts go.

    Returns:
        Rows by split and table.

    Raises:
        ConfigError, InputError: naming what to mend; then nothing changes at the target.
    """
    splits = find_splits(job.output_dir, job.splits)
    label_map = read_label_map(job.output_dir)
    counts = {name: dict.fromkeys(SCHEMAS, 0) for name in splits}
    target: ParquetTarget | PostgresTarget
    if job.is_database:
        target = PostgresTarget(job.to, job.schema or DEFAULT_SCHEMA, label_map)
    else:
        target = ParquetTarget(job.to, label_map)
    with target:
        for name, split in splits.items():
            target.start_split(name)
            for rows in read_rows(split, label_map):
                target.add(rows)
                for table, part in rows.tables.items():
                    counts[name][table] += part.num_rows
    for name, count in counts.items():
        print(f"{name}: " + ", ".join(f"{rows:,} {table}" for table, rows in count.items()), file=out)
    where = f"schema {job.schema or DEFAULT_SCHEMA}" if job.is_database else storage.join(job.to, "")
    print(f"written to {where}", file=out)
    return counts


def read_rows(split: Split, label_map: LabelMap | None) -> Iterator[ShardRows]:
    """Yields the rows of each shard of a split.

    Raises:
        InputError: naming the shard and record that cannot be read.
    """
    for path in split.shards:
        if not storage.exists(path):
            raise InputError(path, "is not there, though the manifest names it", _REMEDY)
        try:
            yield make_rows(split.name, posixpath.basename(path), (data for _, data in read_shard(path)), label_map)
        except FramingError as error:
            raise InputError(path, str(error), _REMEDY) from error
        except RecordError as error:
            raise InputError(path, f"record {error.record}: {error.problem}", _REMEDY) from error
