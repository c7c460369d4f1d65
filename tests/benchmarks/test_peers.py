"""The benchmark command on tiny data: the command itself checks each peer that is there, and names each other one."""

import pathlib
import re
import subprocess
import sys

import pytest

from . import join_queries
from .generate_v3 import generate
from .make_images import SPLIT, make_release
from .memory import REPOSITORY
from .peer_inputs import make_datumaro_input
from .peer_programs import CONVERSION, INSTALL, JOIN, OWN, WRITING, Program, python_of
from .peers import Bench, Checked, format_rows, make_inputs
from .usage import Usage

IMAGES = 3


def rows_of(out: str) -> dict[tuple[str, str], list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("| ")]
    return {(row[0], row[1]): row[2:] for row in rows[1:]}


def run_peers(work_dir: pathlib.Path, *flags: str) -> dict[tuple[str, str], list[str]]:
    command = [sys.executable, "-m", "tests.benchmarks.peers", f"--work_dir={work_dir}", f"--images={IMAGES}"]
    done = subprocess.run(
        [*command, "--scale=0.0002", "--num_shards=2", "--pairs=1", *flags],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return rows_of(done.stdout)


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("peers")


def test_every_peer_is_in_the_table_with_figures_or_as_not_installed(work_dir: pathlib.Path) -> None:
    rows = run_peers(work_dir)
    named = {
        "peers": [(CONVERSION, "`create_oid_tf_record`"), (CONVERSION, "`create_oid_tf_record`, native protobuf")],
        "datumaro": [(CONVERSION, "Datumaro, `open_images` to `tf_detection_api`")],
        "tfds": [(WRITING, "TFDS, `Writer`")],
        "tables": [(JOIN, query) for query in join_queries.QUERIES],
    }
    absent = [environment for environment in named if not python_of(environment, REPOSITORY)]
    for environment, keys in named.items():
        for key in keys:
            if environment not in absent:
                assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", rows[key][0])
                assert re.match(r"\*\*[\d.]+\*\*", rows[key][-1])
            else:
                assert rows[key][0] == f"not installed ({INSTALL[environment]})"
    own = [(CONVERSION, "`oi-tfrecord convert`"), (WRITING, "shard-writing stage"), (WRITING, "bare loop")]
    assert all(float(rows[key][0].split()[0]) >= 0 for key in own)
    if absent:
        pytest.skip(f"the rows of {', '.join(absent)} have no figures: make peers")


def test_peers_that_are_not_there_are_told(work_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    rows = run_peers(work_dir, f"--environments={tmp_path}", f"--parts={WRITING}")
    assert rows.pop((WRITING, "TFDS, `Writer`"))[0] == "not installed (tests/support/peers/install_peer.sh tfds)"
    assert len(rows) == 3
    assert not any(cells[0].startswith("not") for cells in rows.values())


@pytest.mark.parametrize(("part", "expected"), [(CONVERSION, f"'records': {IMAGES}"), (JOIN, "'images'")])
def test_a_program_that_makes_too_little_ends_the_benchmark(
    work_dir: pathlib.Path, tmp_path: pathlib.Path, part: str, expected: str
) -> None:
    inputs = make_inputs(work_dir, IMAGES, 0.0002, 2)
    lazy = Program(part, "lazy, all rows", ("-c", "pass"), OWN, "", False, lambda folder, out: {"records": 0})
    with pytest.raises(RuntimeError, match=r"lazy.*should be") as error:
        Bench(inputs, IMAGES, tmp_path, tmp_path / "run.log").check(lazy)
    assert expected in str(error.value)


def test_ratios_are_of_times_within_rounds_to_the_named_program() -> None:
    def program(name: str, base: str) -> Program:
        return Program(WRITING, name, (), "tfds", base, False, lambda folder, out: {})

    def runs(*seconds: float) -> list[Usage]:
        return [Usage(value, 1.5, 0, "") for value in seconds]

    programs = [program("ours", ""), program("theirs", "ours"), program("missing", "ours")]
    checked = {"ours": Checked(600, 1_000_000), "theirs": Checked(600, 2_000_000)}
    ours, theirs, missing = format_rows(
        programs, checked, {"ours": runs(1.0, 10.0, 3.0), "theirs": runs(2.0, 40.0, 9.0)}
    )
    assert ours == "| writing shards | ours | 3.00 (1.00 to 10.00) | 200 | 1.50 | 1 |  |"
    assert theirs == "| writing shards | theirs | 9.00 (2.00 to 40.00) | 67 | 1.50 | 2 | **3.00** (2.00 to 4.00) |"
    assert missing == "| writing shards | missing | not installed (tests/support/peers/install_peer.sh tfds) | | | | |"


def test_joins_are_counted_row_by_row(tmp_path: pathlib.Path) -> None:
    made = generate(tmp_path, 0.0002)
    names = dict(zip(join_queries.COLUMNS, ("boxes", "human", "machine"), strict=True))
    every = {"images": made["images"], **{name: made[table] for name, table in names.items()}}
    assert join_queries.count_rows(tmp_path, join_queries.ALL_ROWS) == every
    selected = join_queries.count_rows(tmp_path, join_queries.SELECTED)
    assert 0 < selected["images"] <= selected[join_queries.BOXES] <= every[join_queries.BOXES]
    assert selected[join_queries.MACHINE] < every[join_queries.MACHINE]


def test_datumaro_gets_the_columns_that_it_asks_for(tmp_path: pathlib.Path) -> None:
    make_release(tmp_path / "release", IMAGES)
    make_datumaro_input(tmp_path / "release", tmp_path / "input")
    annotations = tmp_path / "input" / "annotations"
    boxes = (annotations / f"{SPLIT}-annotations-bbox.csv").read_text().splitlines()
    source = (tmp_path / "release" / "2017_11" / SPLIT / "annotations-human-bbox.csv").read_text().splitlines()
    assert boxes[0] == source[0] + ",IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    assert boxes[1:] == [line + ",-1" * 5 for line in source[1:]]
    assert len(list((tmp_path / "input" / "images" / SPLIT).glob("*.jpg"))) == IMAGES
