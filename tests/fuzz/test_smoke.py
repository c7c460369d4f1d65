"""A short run of each harness, and that each fails where the code under test is wrong."""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, BinaryIO

import pytest

from oi_tfrecord.images.jpeg_header import JpegHeader, read_header
from oi_tfrecord.openimages.csv.parse import ParsedRows, parse_rows
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan, scan_block
from oi_tfrecord.records.example_reader import Values, parse_example
from oi_tfrecord.records.tfrecord import read_records
from tests.fuzz import csv_ranges, engine, jpeg_header, tfrecords
from tests.support.optional import require

ROOT = pathlib.Path(__file__).parents[2]
HARNESSES = (csv_ranges, jpeg_header, tfrecords)
RUNS = {csv_ranges: 600, jpeg_header: 6000, tfrecords: 1500}


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__.rpartition(".")[2])
def test_no_disagreement_in_a_short_run(harness: ModuleType, tmp_path: pathlib.Path) -> None:
    require("atheris")
    command = [
        sys.executable, "-m", harness.__name__, f"--runs={RUNS[harness]}", "--seed=20171116",
        f"--corpus={tmp_path / 'corpus'}", f"--finds={tmp_path / 'finds'}",
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(re.findall(r"Done (\d+) runs", done.stderr)[0]) >= RUNS[harness]
    assert not list((tmp_path / "finds").iterdir())
    assert len(list((tmp_path / "corpus").iterdir())) > 10, "inputs that reach new code are kept: coverage is seen"


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__.rpartition(".")[2])
def test_seeds_agree(harness: ModuleType, tmp_path: pathlib.Path) -> None:
    for number, data in enumerate(harness.seeds()):
        assert len(data) <= harness.MAX_BYTES
        (tmp_path / f"{number:03d}").write_bytes(data)
        harness.check(data)
    engine.main(harness.__name__, [f"--replay={tmp_path}"])


def off_by_one_line(*arguments: Any, **options: Any) -> ParsedRows:
    rows = parse_rows(*arguments, **options)
    rows.lines[1:] += 1
    return rows


def without_quotes(data: bytes, start: int = 0) -> BlockScan:
    return scan_block(data.replace(b'"', b"'"), start)


def turned(data: bytes) -> JpegHeader | None:
    header = read_header(data)
    return header and header._replace(width=header.height, height=header.width)


def last_byte_lost(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for offset, data in read_records(stream):
        yield offset, data[:-1]


def without_last_key(data: bytes) -> dict[str, Values]:
    return dict(list(parse_example(data).items())[:-1])


@pytest.mark.parametrize(
    ("harness", "name", "wrong"),
    [
        (csv_ranges, "parse_rows", off_by_one_line),
        (csv_ranges, "scan_block", without_quotes),
        (jpeg_header, "jpeg.read_header", turned),
        (tfrecords, "read_records", last_byte_lost),
        (tfrecords, "parse_example", without_last_key),
    ],
)
def test_a_harness_fails_where_the_code_is_wrong(
    harness: ModuleType, name: str, wrong: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{harness.__name__}.{name}", wrong)
    failed = 0
    for data in harness.seeds():
        try:
            harness.check(data)
        except AssertionError:
            failed += 1
    assert failed
