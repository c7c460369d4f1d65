"""Exports records as tables, to Parquet files, into a PostgreSQL database, or as CSV for the official evaluation."""

import dataclasses
import posixpath
from collections.abc import Collection, Iterator, Mapping

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import read_label_map, require_label_map
from oi_tfrecord.dataset.splits import Split, find_splits, read_shard
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import CountedStatus
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.export.official_csv import export_official
from oi_tfrecord.explore.export.parquet import ParquetTarget
from oi_tfrecord.explore.export.postgres import DEFAULT_SCHEMA, MAX_SCHEMA_BYTES, PostgresTarget, is_address
from oi_tfrecord.explore.export.tables import SCHEMAS, RecordError, ShardTables, make_tables
from oi_tfrecord.openimages.image_id import ANY_FORMAT
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.tfrecord import FramingError
from oi_tfrecord.settings.allowed_values import Choice
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

FORMATS = ("tables", "oid")

_REMEDY = "`oi-tfrecord verify` lists all faults; convert again, or give only other splits with --split"


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What `export` exports, and where: the flags of the command."""

    output_dir: str = option(REQUIRED, "Folder of the records.", Group.INPUTS, positional="DIR")
    to: str = option(REQUIRED, "Folder for Parquet files, or postgresql://USER@HOST/DATABASE.", Group.OUTPUT)
    schema: str = option("", f"Schema of the database; {DEFAULT_SCHEMA} by default.", Group.OUTPUT)
    split: tuple[str, ...] = option((), "Splits to export; all by default.", Group.INPUTS, earlier_flag="splits")
    format: str = option(
        "tables", "tables, or oid: CSV files for the official evaluation.", Group.OUTPUT, Choice(FORMATS)
    )
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)
        if self.schema and not self.is_database:
            raise ConfigError("schema", f"is for PostgreSQL, but --to={self.to} is a folder")
        if self.format == "oid" and self.is_database:
            raise ConfigError("format", f"oid is for a folder, but --to={self.to} is a database")
        if len(self.schema.encode()) > MAX_SCHEMA_BYTES or "\0" in self.schema:
            raise ConfigError("schema", f"{self.schema!r} is no name of at most {MAX_SCHEMA_BYTES} bytes")

    @property
    def is_database(self) -> bool:
        """Whether the target is a database."""
        return is_address(self.to)

    @property
    def target(self) -> str:
        """Name of the target for people: the folder, or the schema of the database."""
        return f"schema {self.schema or DEFAULT_SCHEMA}" if self.is_database else storage.join(self.to, "")


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What `export` wrote.

    Attributes:
        rows: number of rows by split and table.
        target: the folder, or the schema of the database.
    """

    rows: Mapping[str, Mapping[str, int]]
    target: str


def export(options: ExportOptions, *, progress: Progress | None = None) -> ExportResult:
    """Exports the records of a dataset as tables; splits that are at the target are replaced.

    Args:
        options: what to export, and where.
        progress: shows how far the run is; silent by default.

    Returns:
        What was written.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected; nothing changes at the target then.
    """
    accept_beam_arguments(options.beam_arguments)
    splits = find_splits(options.output_dir, options.split)
    shown = progress or NoProgress()
    if options.format == "oid":
        images = CountedStatus(sum(split.expected_records for split in splits.values()), "images exported")
        with shown.watch(images):
            rows = export_official(splits, require_label_map(options.output_dir), options.to, images.count)
        return ExportResult(rows, options.target)
    return ExportResult(_export_tables(options, splits, shown), options.target)


def _export_tables(
    options: ExportOptions, splits: Mapping[str, Split], progress: Progress
) -> Mapping[str, Mapping[str, int]]:
    """Returns the number of rows by split and table."""
    status = CountedStatus(sum(len(split.shards) for split in splits.values()), "shards exported")
    label_map = read_label_map(options.output_dir)
    counts = {name: dict.fromkeys(SCHEMAS, 0) for name in splits}
    target: ParquetTarget | PostgresTarget
    if options.is_database:
        target = PostgresTarget(options.to, options.schema or DEFAULT_SCHEMA, label_map)
    else:
        target = ParquetTarget(options.to, label_map)
    with target, progress.watch(status):
        for name, split in splits.items():
            target.start_split(name)
            for shard in status.count(read_tables(split, label_map)):
                target.add(shard)
                for table, part in shard.tables.items():
                    counts[name][table] += part.num_rows
    return counts


def describe_export(result: ExportResult) -> Iterator[str]:
    """Yields the lines that say what was written."""
    for name, rows in result.rows.items():
        yield f"{name}: " + ", ".join(f"{count:,} {table}" for table, count in rows.items())
    yield f"written to {result.target}"


def read_tables(split: Split, label_map: LabelMap | None, names: Collection[str] = SCHEMAS) -> Iterator[ShardTables]:
    """Yields the rows of each shard of a split; `names` are the tables that are made.

    Raises:
        InputError: naming the shard and record that cannot be read.
    """
    any_ids = split.config.get("image_id_format") == ANY_FORMAT
    for path in split.shards:
        if not storage.exists(path):
            raise InputError(path, "is missing, though the manifest names it", _REMEDY)
        try:
            records = (data for _, data in read_shard(path))
            yield make_tables(split.name, posixpath.basename(path), records, label_map, any_ids=any_ids, names=names)
        except FramingError as error:
            raise InputError(path, str(error), _REMEDY) from error
        except RecordError as error:
            raise InputError(path, f"record {error.record}: {error.problem}", _REMEDY) from error
