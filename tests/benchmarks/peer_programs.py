"""The programs that `peers` compares: how each is called, and what it must have made."""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable

from oi_tfrecord.records.tfrecord import read_records

from . import join_queries
from .join_queries import ALL_ROWS, ANY_ORDER, SELECTED, Counts
from .make_images import SPLIT
from .memory import REPOSITORY, dry_run_flags, shards_of_scale
from .shard_loops import convert_flags

OWN = ""
OBJECT_DETECTION, DATUMARO, TFDS, TABLES = "peers", "datumaro", "tfds", "tables"
"""Environments: `.venv-NAME`."""

INSTALL = {
    OBJECT_DETECTION: "tests/support/peers/install.sh",
    **{name: f"tests/support/peers/install_peer.sh {name}" for name in (DATUMARO, TFDS, TABLES)},
}
PACKAGES = {
    OWN: ("apache-beam", "google-crc32c", "numpy", "pyarrow"),
    OBJECT_DETECTION: ("tf-models-research-object-detection", "tensorflow", "protobuf", "pandas"),
    DATUMARO: ("datumaro", "tensorflow", "opencv-python-headless"),
    TFDS: ("tensorflow-datasets", "tensorflow", "apache-beam"),
    TABLES: ("duckdb", "polars"),
}
CONVERSION, WRITING, JOIN = "whole conversion", "writing shards", "join"
PARTS = (CONVERSION, WRITING, JOIN)


@dataclasses.dataclass(frozen=True)
class Program:
    """One program of the table.

    Attributes:
        part: which part of the work it does, of PARTS.
        name: of the row.
        arguments: of its environment's python.
        environment: of INSTALL, or OWN.
        base: name of the program of ours that it is held against; empty for such a program.
        timed_inside: whether its time is what it prints, without its start.
        count: what it made, from its output folder and what it printed.
    """

    part: str
    name: str
    arguments: tuple[str, ...]
    environment: str
    base: str
    timed_inside: bool
    count: Callable[[pathlib.Path, str], Counts]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What the programs work on, and where.

    Attributes:
        release: of `make_images`.
        tables: of `generate_v3`.
        scale: of these tables.
        datumaro: of `make_datumaro_input`.
        label_map: of the release, in protobuf text.
        output_dir: empty before each run.
        num_shards: files that each writing program makes.
    """

    release: pathlib.Path
    tables: pathlib.Path
    scale: float
    datumaro: pathlib.Path
    label_map: pathlib.Path
    output_dir: pathlib.Path
    num_shards: int


def convert_arguments(inputs: Inputs) -> tuple[str, ...]:
    """Returns the arguments of python for our conversion of the release."""
    flags = convert_flags(inputs.release, inputs.output_dir, inputs.num_shards)
    return ("-m", "oi_tfrecord", "convert", "--config=v3", *(f"--{name}={value}" for name, value in flags.items()))


def make_programs(inputs: Inputs, *, beam_writer: bool) -> list[Program]:
    """Returns the programs in the order of the table; ours stands before what is held against it."""
    return [*_conversions(inputs), *_writers(inputs, beam_writer), *_joins(inputs)]


def _conversions(inputs: Inputs) -> list[Program]:
    own = "`oi-tfrecord convert`"
    tables = inputs.release / "2017_11" / SPLIT
    creator = (
        f"--input_box_annotations_csv={tables / 'annotations-human-bbox.csv'}",
        f"--input_image_label_annotations_csv={tables / 'annotations-human.csv'}",
        f"--input_images_directory={inputs.release / 'images' / SPLIT}",
        f"--input_label_map={inputs.label_map}",
        f"--output_tf_record_path_prefix={inputs.output_dir / SPLIT}.tfrecord",
        f"--num_shards={inputs.num_shards}",
    )
    datumaro = (f"--dataset_dir={inputs.datumaro}", f"--output_dir={inputs.output_dir}")
    scripts = (
        ("`create_oid_tf_record`", OBJECT_DETECTION, "tests/support/peers/create_oid.py", creator),
        ("`create_oid_tf_record`, native protobuf", OBJECT_DETECTION, "tests/benchmarks/creator_native.py", creator),
        (
            "Datumaro, `open_images` to `tf_detection_api`",
            DATUMARO,
            "tests/support/peers/convert_datumaro.py",
            datumaro,
        ),
    )
    return [
        Program(CONVERSION, own, convert_arguments(inputs), OWN, "", False, _count_records),
        *(
            Program(CONVERSION, name, (str(REPOSITORY / script), *arguments), environment, own, False, _count_records)
            for name, environment, script, arguments in scripts
        ),
    ]


def _writers(inputs: Inputs, beam_writer: bool) -> list[Program]:
    own = "shard-writing stage"
    given = (
        f"--release={inputs.release}",
        f"--output_dir={inputs.output_dir}",
        f"--num_shards={inputs.num_shards}",
    )
    loops = {own: "stage", "bare loop": "bare", "bare loop with the SHA-256 of images": "bare_sha256"}
    tfds = {"TFDS, `Writer`": "writer"} | ({"TFDS, `BeamWriter`": "beam_writer"} if beam_writer else {})
    script = str(REPOSITORY / "tests/support/peers/write_tfds.py")
    return [
        *(
            Program(
                WRITING,
                name,
                ("-m", "tests.benchmarks.shard_loops", loop, *given),
                OWN,
                "" if name == own else own,
                True,
                _count_records,
            )
            for name, loop in loops.items()
        ),
        *(
            Program(WRITING, name, (script, writer, *given, f"--split={SPLIT}"), TFDS, own, True, _count_records)
            for name, writer in tfds.items()
        ),
    ]


def _joins(inputs: Inputs) -> list[Program]:
    everything = {"select": "all", "class_list": "classes.txt"}
    programs = []
    for result, more in ((ALL_ROWS, everything), (SELECTED, {})):
        own = f"`convert --dry_run`, {result}"
        flags = dry_run_flags(inputs.tables, shards_of_scale(inputs.scale)) | more | {"output_dir": inputs.output_dir}
        arguments = (
            "-m",
            "oi_tfrecord",
            "convert",
            "--config=v3",
            *(f"--{name}={value}" for name, value in flags.items()),
        )
        programs.append(Program(JOIN, own, arguments, OWN, "", False, _count_manifest))
        programs.append(
            Program(JOIN, f"{own}, 1 worker", (*arguments, "--workers=1"), OWN, own, False, _count_manifest)
        )
        for query in join_queries.QUERIES:
            # What comes in any order is held against all rows, too.
            if query.endswith(result) or (result == ALL_ROWS and query.endswith(ANY_ORDER)):
                arguments = ("-m", "tests.benchmarks.join_queries", query, f"--data_dir={inputs.tables}")
                programs.append(Program(JOIN, query, arguments, TABLES, own, False, _count_printed))
    return programs


def expected_counts(inputs: Inputs, program: Program, images: int) -> Counts:
    """Returns what a program must make of the inputs, as its `count` says."""
    if program.part != JOIN:
        return {"records": images}
    result = SELECTED if SELECTED in program.name else ALL_ROWS
    return join_queries.count_rows(inputs.tables, result)


def python_of(environment: str, folder: pathlib.Path) -> str | None:
    """Returns the python of an environment in `folder`, None if it is not there."""
    if environment == OWN:
        return sys.executable
    python = folder / f".venv-{environment}" / "bin" / "python"
    return str(python) if python.exists() else None


def _count_records(output_dir: pathlib.Path, printed: str) -> Counts:
    count = 0
    for path in output_dir.glob("*.tfrecord*"):
        with path.open("rb") as stream:
            count += sum(1 for _ in read_records(stream))
    return {"records": count}


def _count_manifest(output_dir: pathlib.Path, printed: str) -> Counts:
    split = json.loads((output_dir / "dry_run" / "manifest.json").read_text())["splits"][SPLIT]
    tables = zip(join_queries.COLUMNS, ("boxes", "human_labels", "machine_labels"), strict=True)
    return {"images": split["images"]["records"], **{name: split["tables"][table]["written"] for name, table in tables}}


def _count_printed(output_dir: pathlib.Path, printed: str) -> Counts:
    counts: Counts = json.loads(printed.splitlines()[-1])
    return counts
