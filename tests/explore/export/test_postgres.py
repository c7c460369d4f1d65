import pathlib
import shutil
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_records, find_splits
from oi_tfrecord.explore.export.postgres import PostgresTarget
from oi_tfrecord.explore.export.tables import SCHEMAS, ShardTables, make_tables
from oi_tfrecord.records.example_writer import EntryEncoder, assemble, bytes_feature
from oi_tfrecord.records.tfrecord import frame
from tests.support.optional import psycopg

TABLES = ("classes", *SCHEMAS)


@pytest.fixture
def schema(postgres: str, request: pytest.FixtureRequest) -> str:
    name = f'Of "{request.node.name}"'[:63]
    with psycopg.connect(postgres) as connection:
        connection.execute(psycopg.sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(psycopg.sql.Identifier(name)))
    return name


def load(records: pathlib.Path, url: str, schema: str, *flags: str) -> int:
    return main(["export", str(records), f"--to={url}", f"--schema={schema}", *flags])


def query(url: str, statement: str, schema: str = "", values: tuple = ()) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        composed = psycopg.sql.SQL(statement).format(schema=psycopg.sql.Identifier(schema))
        return connection.execute(composed, values or None).fetchall()


def contents(url: str, schema: str) -> dict[str, list[tuple[Any, ...]]]:
    keys = {"classes": "mid", "images": "split, image_id"}
    return {
        table: query(
            url, f"SELECT * FROM {{schema}}.{table} ORDER BY {keys.get(table, 'split, image_id, number')}", schema
        )
        for table in TABLES
    }


def as_printed(value: Any) -> Any:
    """Returns a float32 as PostgreSQL prints it: the shortest number that is read back as the same float32."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def test_the_tables_hold_what_the_parquet_files_hold(
    exportable: pathlib.Path, postgres: str, schema: str, tmp_path: pathlib.Path
) -> None:
    assert load(exportable, postgres, schema) == 0
    assert main(["export", str(exportable), f"--to={tmp_path}"]) == 0
    expected = {
        table: pq.read_table(tmp_path / ("classes.parquet" if table == "classes" else table)).to_pylist()
        for table in TABLES
    }
    loaded = contents(postgres, schema)
    keys = {"classes": ("mid",), "images": ("split", "image_id")}
    for table, rows in expected.items():
        rows.sort(key=lambda row: [row[name] for name in keys.get(table, ("split", "image_id", "number"))])
        assert loaded[table] == [tuple(map(as_printed, row.values())) for row in rows], table
    assert {table: len(rows) for table, rows in loaded.items()}["images"] == 54


def test_keys_types_and_indexes_are_declared(exportable: pathlib.Path, postgres: str, schema: str) -> None:
    assert load(exportable, postgres, schema) == 0
    constraints = query(
        postgres,
        "SELECT c.relname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND k.contype IN ('p', 'f')",
        values=(schema,),
    )
    quoted = '"' + schema.replace('"', '""') + '"'
    of_parts = {
        "PRIMARY KEY (split, image_id, number)",
        f"FOREIGN KEY (split, image_id) REFERENCES {quoted}.images(split, image_id)",
        f"FOREIGN KEY (mid) REFERENCES {quoted}.classes(mid)",
    }
    declared: dict[str, set[str]] = {}
    for table, definition in constraints:
        declared.setdefault(table, set()).add(definition)
    assert declared == {
        "classes": {"PRIMARY KEY (mid)"},
        "images": {"PRIMARY KEY (split, image_id)"},
        "boxes": of_parts,
        "image_labels": of_parts,
    }
    types = dict(
        query(
            postgres,
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = 'boxes'",
            values=(schema,),
        )
    )
    assert (types["image_id"], types["number"], types["x_min"], types["group_of"]) == (
        "text",
        "integer",
        "real",
        "boolean",
    )
    indexes = {
        name for (name,) in query(postgres, "SELECT indexname FROM pg_indexes WHERE schemaname = %s", values=(schema,))
    }
    assert {"boxes_mid", "boxes_image_id", "image_labels_mid", "image_labels_image_id", "images_image_id"} <= indexes


def test_a_second_load_gives_the_same_and_replaces_one_split_only(
    exportable: pathlib.Path, postgres: str, schema: str, tmp_path: pathlib.Path
) -> None:
    assert load(exportable, postgres, schema) == 0
    first = contents(postgres, schema)
    assert load(exportable, postgres, schema) == 0
    assert contents(postgres, schema) == first
    # A train split of which only a shard is left.
    shutil.copytree(exportable, tmp_path / "fewer")
    (tmp_path / "fewer" / "manifest.json").unlink()
    for path in sorted((tmp_path / "fewer").glob("train.tfrecord-*"))[1:]:
        path.unlink()
    assert load(tmp_path / "fewer", postgres, schema, "--split=train") == 0
    fewer = contents(postgres, schema)
    assert 0 < len([row for row in fewer["images"] if row[0] == "train"]) < 42
    for table in SCHEMAS:
        assert [row for row in fewer[table] if row[0] != "train"] == [row for row in first[table] if row[0] != "train"]
    assert load(exportable, postgres, schema, "--split=train") == 0
    assert contents(postgres, schema) == first


def test_a_failure_amid_the_load_leaves_the_database_as_it_was(
    exportable: pathlib.Path, postgres: str, schema: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(exportable, postgres, schema) == 0
    before = contents(postgres, schema)
    shutil.copytree(exportable, tmp_path / "damaged")
    shard = sorted((tmp_path / "damaged").glob("validation.tfrecord-*"))[1]
    whole = shard.read_bytes()
    [first, *_] = find_records(str(shard)).tolist()
    shard.write_bytes(whole[: first[0] + 9] + bytes([whole[first[0] + 9] ^ 1]) + whole[first[0] + 10 :])
    assert load(tmp_path / "damaged", postgres, schema) == 1
    error = capsys.readouterr().err
    assert shard.name in error
    assert "record 0" in error
    # The same image twice: the first record again at the end.
    shard.write_bytes(whole + whole[first[0] - 12 : first[0] + first[1] + 4])
    assert load(tmp_path / "damaged", postgres, schema) == 1
    assert "is in two records" in capsys.readouterr().err
    assert contents(postgres, schema) == before
    # A schema that the failed load would have made is not there.
    assert load(tmp_path / "damaged", postgres, "never made") == 1
    assert query(postgres, "SELECT FROM pg_namespace WHERE nspname = %s", values=("never made",)) == []


def test_a_connection_that_breaks_leaves_the_database_as_it_was(
    exportable: pathlib.Path,
    postgres: str,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert load(exportable, postgres, schema) == 0
    before = contents(postgres, schema)
    add = PostgresTarget.add
    broken = []

    def add_and_break(target: PostgresTarget, rows: ShardTables) -> None:
        add(target, rows)
        broken.extend(query(postgres, "SELECT pg_terminate_backend(%s)", values=(target._connection.info.backend_pid,)))

    monkeypatch.setattr(PostgresTarget, "add", add_and_break)
    assert load(exportable, postgres, schema) == 1
    assert broken == [(True,)]
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: PostgreSQL: ")
    assert error.count("error") == 1
    assert contents(postgres, schema) == before


def test_others_read_the_old_rows_until_the_new_ones_are_committed(
    exportable: pathlib.Path, postgres: str, schema: str
) -> None:
    assert load(exportable, postgres, schema) == 0
    before = contents(postgres, schema)
    label_map = read_label_map(str(exportable))
    with PostgresTarget(postgres, schema, label_map) as target:
        for split in find_splits(str(exportable)):
            target.start_split(split)
        assert contents(postgres, schema) == before
    assert contents(postgres, schema)["images"] == []


def test_texts_are_kept_but_for_what_postgresql_cannot_hold(postgres: str, schema: str) -> None:
    texts = ["", "a\tb\\N", "\\N", "\\.", 'line\n\\.\nline "two"\r\n', "Früchte ★", "nul\0", "�"]
    rows = make_tables("of, one", "shard", [with_title(f"{number}", text) for number, text in enumerate(texts)], None)
    with PostgresTarget(postgres, schema, None) as target:
        target.start_split("of, one")
        target.add(rows)
    loaded = query(postgres, "SELECT title FROM {schema}.images ORDER BY record", schema)
    assert [title for (title,) in loaded] == [text.replace("\0", "�") for text in texts]


def with_title(image_id: str, title: str) -> bytes:
    features = {"image/attribution/title": title, "image/source_id": image_id}
    entries = [EntryEncoder(key).encode(bytes_feature((value.encode(),))) for key, value in sorted(features.items())]
    return b"".join(assemble(b"".join(entries), b"", b""))


def test_classes_that_nothing_names_any_more_go(
    exportable: pathlib.Path, postgres: str, schema: str, tmp_path: pathlib.Path
) -> None:
    others = tmp_path / "others"
    others.mkdir()
    entry = EntryEncoder("image/class/text").encode(bytes_feature((b"/m/other",)))
    data = b"".join(assemble(entry, b"", b""))
    header, footer = frame([data])
    (others / "train-00000-of-00001").write_bytes(header + data + footer)
    assert load(others, postgres, schema) == 0
    assert contents(postgres, schema)["classes"] == [("/m/other", None, None)]
    assert load(exportable, postgres, schema) == 0
    label_map = read_label_map(str(exportable))
    assert label_map is not None
    assert [row[0] for row in contents(postgres, schema)["classes"]] == sorted(label_map.id_of)


def test_a_database_that_is_not_there_or_holds_other_tables_is_an_error(
    exportable: pathlib.Path, postgres: str, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(exportable), "--to=postgresql://tester:secret@/nowhere?host=/nowhere"]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "secret" not in error
    with psycopg.connect(postgres) as connection:
        name = psycopg.sql.Identifier(schema)
        connection.execute(psycopg.sql.SQL("CREATE SCHEMA {0}; CREATE TABLE {0}.images (mine text)").format(name))
    assert load(exportable, postgres, schema) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert query(
        postgres, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = %s", values=(schema,)
    ) == [("images",)]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:s3cr%zzet@127.0.0.1:1/x",
        "postgresql://u:s3cr et@127.0.0.1:1/x",
        "postgresql://u:s3@s3cr@127.0.0.1:1/x",
        "postgresql://u:s3cr/et@127.0.0.1:1/x",
        "postgres://u:s3cr?et@127.0.0.1:1/x",
        "postgresql+psycopg://u:s3cr@127.0.0.1:1/x",
        "host=127.0.0.1 port=1 password=s3cr user=u",
        "host=127.0.0.1 password=a s3cr user=u",
        " password = 's3cr x' host=127.0.0.1 port=1",
        "mysql://u:s3cr@127.0.0.1/x",
    ],
)
def test_no_form_of_an_address_prints_its_password(
    address: str,
    exportable: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(exportable), f"--to={address}"]) == 1
    printed = "".join(capsys.readouterr())
    assert printed.startswith("error: ")
    assert "s3cr" not in printed
    assert list(tmp_path.iterdir()) == []
