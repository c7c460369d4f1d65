"""Loads exported tables into PostgreSQL, in one transaction."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.export.tables import CLASSES, SCHEMAS, ShardTables, make_classes
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.storage.optional_imports import import_optional

if TYPE_CHECKING:
    import psycopg

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9]+)?://", re.IGNORECASE)
"""Start of a URL of a database; URLs of SQLAlchemy also name a driver."""

_KEYWORDS = re.compile(
    r"\s*(?:host|hostaddr|port|dbname|user|password|passfile|service|options|sslmode|connect_timeout)\s*=",
    re.IGNORECASE,
)
"""Start of an address of a database in keywords (libpq, section Connection Strings)."""

_UNAMBIGUOUS = re.compile(r"(?:[^\s@/?#]*@)?[^\s@]*")
"""A URL behind its scheme in which only the end of user and password is an `@`."""

DEFAULT_SCHEMA = "open_images"

MAX_SCHEMA_BYTES = 63

# Texts sort by code point whatever the locale of the database, so that queries give the same rows everywhere.
_TYPES = {
    pa.string(): 'text COLLATE "C"',
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "real",
}

_KEYS = {
    "classes": ("PRIMARY KEY (mid)",),
    "images": ("PRIMARY KEY (split, image_id)",),
    **dict.fromkeys(
        ("boxes", "image_labels"),
        (
            "PRIMARY KEY (split, image_id, number)",
            "FOREIGN KEY (split, image_id) REFERENCES {schema}.images",
            "FOREIGN KEY (mid) REFERENCES {schema}.classes",
        ),
    ),
}

_INDEXES = {
    "images_image_id": "images (image_id)",
    "boxes_mid": "boxes (mid, split, image_id)",
    "boxes_image_id": "boxes (image_id)",
    "image_labels_mid": "image_labels (mid, verified, confidence, split, image_id)",
    "image_labels_image_id": "image_labels (image_id)",
}

_BAD_ADDRESS = (
    "the address of the database cannot be read. In a URL, write special characters of user and password by their "
    "codes (% is %25, @ is %40, / is %2F, a space is %20); in keywords, put a value with a space in single quotes. "
    "Or leave the password to ~/.pgpass or PGPASSWORD"
)

_REMEDY = "Nothing was changed in the database"


def is_address(text: str) -> bool:
    """Returns whether a text is an address of a PostgreSQL database, and no folder.

    It may be `postgresql://USER@HOST/DATABASE`, also with `postgres` or a driver of SQLAlchemy, or keywords such as
    `host=HOST dbname=DATABASE`.
    """
    return bool(_SCHEME.match(text) or _KEYWORDS.match(text))


class PostgresTarget:
    """The tables of an export in a schema of a database; if the block raises, the database stays as it was.

    A split that is in the schema is replaced. Other sessions read the old rows until the new ones are committed.
    """

    def __init__(self, url: str, schema: str, label_map: LabelMap | None):
        """Does not connect yet.

        Args:
            url: address of the database, see `is_address`.
            schema: name of the schema; a missing one is created.
            label_map: of the dataset.
        """
        self._url = url
        self._schema = schema
        self._label_map = label_map
        self._found: dict[str, int | None] = {}

    def __enter__(self) -> "PostgresTarget":
        self._psycopg = _import_psycopg()
        address = self._check_address()
        with self._translate_errors():
            self._connection = self._psycopg.connect(address)
        try:
            with self._translate_errors():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise
        return self

    def _check_address(self) -> str:
        """Returns the address as libpq takes it.

        Raises:
            ConfigError: without the message of libpq, which may quote a part of the password.
        """
        from psycopg.conninfo import conninfo_to_dict

        address = _SCHEME.sub("postgresql://", self._url, count=1)
        is_url = bool(_SCHEME.match(self._url))
        try:
            conninfo_to_dict(address)
        except self._psycopg.Error:
            address = ""
        if not address or (is_url and not _UNAMBIGUOUS.fullmatch(address.partition("://")[2])):
            raise ConfigError("to", _BAD_ADDRESS)
        return address

    def _prepare(self) -> None:
        # The second of two exports into one schema waits.
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"oi_tfrecord {self._schema}",))
        self._execute("CREATE SCHEMA IF NOT EXISTS {schema}")
        for table, schema in {"classes": CLASSES, **SCHEMAS}.items():
            self._execute(f"CREATE TABLE IF NOT EXISTS {{schema}}.{table} ({_columns(table, schema)})")
        self._put_classes({})

    def start_split(self, split: str) -> None:
        """Removes the rows that a split has."""
        with self._translate_errors():
            for table in reversed(tuple(SCHEMAS)):
                self._execute(f"DELETE FROM {{schema}}.{table} WHERE split = %s", (split,))

    def add(self, shard: ShardTables) -> None:
        """Adds the rows of a shard."""
        with self._translate_errors():
            new = {mid: class_id for mid, class_id in shard.classes.items() if self._found.get(mid) is None}
            if new:
                self._put_classes(new)
            for table, rows in shard.tables.items():
                self._copy(table, rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A transaction that is closed without a commit changes nothing.
        with contextlib.closing(self._connection), self._translate_errors():
            if kind is None:
                self._finish()
                self._connection.commit()

    def _finish(self) -> None:
        # After the rows: making an index of all rows takes less time than adding each row to it.
        for name, columns in _INDEXES.items():
            self._execute(f"CREATE INDEX IF NOT EXISTS {name} ON {{schema}}.{columns}")
        kept = make_classes(self._label_map, self._found)["mid"].to_pylist()
        self._execute(
            "DELETE FROM {schema}.classes c WHERE NOT mid = ANY(%s)"
            " AND NOT EXISTS (SELECT FROM {schema}.boxes b WHERE b.mid = c.mid)"
            " AND NOT EXISTS (SELECT FROM {schema}.image_labels l WHERE l.mid = c.mid)",
            ([_storable(mid) for mid in kept],),
        )
        for table in _KEYS:
            self._execute(f"ANALYZE {{schema}}.{table}")

    def _put_classes(self, new: Mapping[str, int | None]) -> None:
        """Adds classes, or updates them."""
        self._found |= new
        values = ", ".join(CLASSES.names)
        for row in make_classes(self._label_map, self._found).to_pylist():
            if not new or row["mid"] in new:
                self._execute(
                    f"INSERT INTO {{schema}}.classes AS c ({values}) VALUES (%s, %s, %s) ON CONFLICT (mid) DO UPDATE"
                    " SET class_id = coalesce(EXCLUDED.class_id, c.class_id), name = coalesce(EXCLUDED.name, c.name)",
                    tuple(map(_storable, row.values())),
                )

    def _copy(self, table: str, rows: pa.Table) -> None:
        statement = self._sql(f"COPY {{schema}}.{table} ({', '.join(rows.column_names)}) FROM STDIN")
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for batch in rows.to_batches(max_chunksize=10_000):
                columns = [_values(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    copy.write_row(row)

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._connection.execute(self._sql(statement), values or None)

    def _sql(self, statement: str) -> "psycopg.sql.Composed":
        from psycopg import sql

        return sql.SQL(statement).format(schema=sql.Identifier(self._schema))

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turns an error of the database into an InputError of one line, without the password of the URL."""
        try:
            yield
        except self._psycopg.errors.UniqueViolation as error:
            detail = error.diag.message_detail or ""
            problem = f"an image is in two records: {detail.rstrip('.')}"
            raise InputError("records", problem, f"{_REMEDY}; `oi-tfrecord verify` lists such images") from error
        except self._psycopg.Error as error:
            raise InputError("PostgreSQL", " ".join(str(error).split()).rstrip("."), _REMEDY) from error


def _columns(table: str, schema: pa.Schema) -> str:
    columns = [f"{field.name} {_TYPES[field.type]}{'' if field.nullable else ' NOT NULL'}" for field in schema]
    return ", ".join([*columns, *_KEYS[table]])


def _values(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return [_storable(value) for value in values] if pa.types.is_string(column.type) else values


def _storable(value: Any) -> Any:
    # PostgreSQL's text cannot hold U+0000.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _import_psycopg() -> Any:
    return import_optional("psycopg", extra="postgresql", field="to", need="PostgreSQL needs psycopg")
