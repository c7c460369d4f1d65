"""Measures this project against each peer that does part of the same work, on the same data.

    python -m tests.benchmarks.peers --work_dir=/tmp/peers --install

Makes the inputs once (they stay in the work folder), runs each program once unmeasured, checks what it made and how
much memory it took, then runs the programs of a part in turn. Prints one table in Markdown; a peer whose environment is
not there has a row that says so. README.md beside this file says what is timed.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE

from .make_images import make_release
from .memory import REPOSITORY, run_sampled, tables_of
from .paired import pair_ratios, run_in_turn, spread
from .peer_inputs import make_datumaro_input
from .peer_programs import (
    INSTALL,
    OWN,
    PACKAGES,
    PARTS,
    Inputs,
    Program,
    convert_arguments,
    expected_counts,
    make_programs,
    python_of,
)
from .usage import Usage, run_measured

HEADER = (
    "| part | program | seconds: median (range) | images or rows/s | CPU s | peak MB | "
    "its time / ours: median of pairs (range) |\n|---|---|---|---|---|---|---|"
)
_SAMPLE_SECONDS = 0.1
_PRINT_VERSIONS = (
    "import importlib.metadata, platform, sys\n"
    "print('Python', platform.python_version(), *[f'{n} {importlib.metadata.version(n)}' for n in sys.argv[1:]],"
    " sep=', ')"
)


@dataclasses.dataclass(frozen=True)
class Checked:
    """What the unmeasured run of a program showed.

    Attributes:
        amount: images or rows that it made.
        peak_bytes: proportional memory of its process tree.
    """

    amount: int
    peak_bytes: int


class Bench:
    """Runs programs on one set of inputs."""

    def __init__(self, inputs: Inputs, images: int, environments: pathlib.Path, log_file: pathlib.Path):
        """Initializes the instance.

        Args:
            inputs: what the programs work on.
            images: JPEGs in them.
            environments: folder of the peers' virtual environments.
            log_file: gets what the programs say on standard error.
        """
        self._inputs = inputs
        self._images = images
        self._environments = environments
        self._log_file = log_file
        # PYTHONPATH is ours, and a peer's python must not see it.
        self._variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def clear(self) -> None:
        """Removes the output of the run before, and waits for the disk: its writing is not the next run's."""
        shutil.rmtree(self._inputs.output_dir, ignore_errors=True)
        self._inputs.output_dir.mkdir()
        os.sync()

    def check(self, program: Program) -> Checked:
        """Runs a program once, its memory sampled.

        Raises:
            RuntimeError: if it did not make what it must.
        """
        self.clear()
        run = run_sampled(self._command(program), self._log_file, self._variables, REPOSITORY, _SAMPLE_SECONDS)
        counts = program.count(self._inputs.output_dir, run.out)
        expected = expected_counts(self._inputs, program, self._images)
        if counts != expected:
            raise RuntimeError(f"{program.name} made {counts}, which should be {expected}")
        rows = sum(count for name, count in counts.items() if name != "images")
        return Checked(rows, run.peak_bytes)

    def measure(self, program: Program) -> Usage:
        """Runs a program."""
        usage = run_measured(self._command(program), self._log_file, self._variables, REPOSITORY)
        if program.timed_inside:
            printed = json.loads(usage.out.splitlines()[-1])
            return Usage(printed["seconds"], printed["cpu_seconds"], usage.peak_bytes, usage.out)
        return usage

    def is_installed(self, program: Program) -> bool:
        """Returns whether the program's environment is there."""
        return python_of(program.environment, self._environments) is not None

    def _command(self, program: Program) -> tuple[str, ...]:
        return (python_of(program.environment, self._environments) or "", *program.arguments)


def make_inputs(work_dir: pathlib.Path, images: int, scale: float, num_shards: int) -> Inputs:
    """Makes the inputs that are not there yet, and reads them into the page cache."""
    work_dir.mkdir(parents=True, exist_ok=True)
    release, output_dir = work_dir / f"release-{images}", work_dir / "output"
    make_release(release, images)
    tables = tables_of(scale, {}, work_dir)
    label_map = work_dir / f"label_map-{images}.pbtxt"
    inputs = Inputs(release, tables, scale, work_dir / f"datumaro-{images}", label_map, output_dir, num_shards)
    make_datumaro_input(release, inputs.datumaro)
    for path in (*release.rglob("*"), *tables.rglob("*.csv")):
        if path.is_file():
            path.read_bytes()
    if not label_map.exists():
        shutil.rmtree(output_dir, ignore_errors=True)
        command = (sys.executable, *convert_arguments(inputs))
        subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.copy(output_dir / LABEL_MAP_FILE, label_map)
    return inputs


def install_peers(environments: pathlib.Path) -> None:
    """Makes the environments of all peers; one that fails is named on standard error and left out."""
    for name, script in INSTALL.items():
        command = [*script.split(), str(environments / f".venv-{name}"), sys.executable]
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        if done.returncode:
            print(f"{' '.join(command)} failed", file=sys.stderr)


def format_rows(
    programs: Sequence[Program], checked: Mapping[str, Checked], usages: Mapping[str, Sequence[Usage]]
) -> list[str]:
    """Returns the rows of the table, in the order of the programs.

    Args:
        programs: installed or not.
        checked: by name of the program; those not in it are not installed.
        usages: by name of the program, by round.
    """
    rows = []
    for program in programs:
        if program.name not in checked:
            missing = f"not installed ({INSTALL[program.environment]})"
            rows.append(f"| {program.part} | {program.name} | {missing} | | | | |")
            continue
        runs = usages[program.name]
        seconds = spread([usage.seconds for usage in runs])
        ratio = ""
        if program.base:
            own = [usage.seconds for usage in usages[program.base]]
            ratios = spread(pair_ratios([usage.seconds for usage in runs], own))
            ratio = f"**{ratios.median:.2f}** ({ratios.least:.2f} to {ratios.most:.2f})"
        cells = (
            program.part,
            program.name,
            f"{seconds.median:.2f} ({seconds.least:.2f} to {seconds.most:.2f})",
            f"{checked[program.name].amount / seconds.median:,.0f}",
            f"{spread([usage.cpu_seconds for usage in runs]).median:.2f}",
            f"{checked[program.name].peak_bytes / 1e6:,.0f}",
            ratio,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _versions(python: str, packages: Sequence[str]) -> str:
    done = subprocess.run([python, "-c", _PRINT_VERSIONS, *packages], check=True, capture_output=True, text=True)
    return done.stdout.strip().replace("Python, ", "Python ")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the inputs; 2.5 times their size.")
    parser.add_argument("--images", type=int, default=2000, help="JPEGs of 235 KB.")
    parser.add_argument("--scale", type=float, default=0.05, help="Of the tables of the join.")
    parser.add_argument("--num_shards", type=int, default=8, help="Files that each writing program makes.")
    parser.add_argument("--pairs", type=int, default=5, help="Rounds of each part.")
    parser.add_argument("--parts", default=",".join(PARTS), help="Parts of the work to compare.")
    parser.add_argument("--beam_writer", action="store_true", help="TFDS's BeamWriter, too, which takes minutes.")
    parser.add_argument("--install", action="store_true", help="Makes the peers' environments first.")
    parser.add_argument("--environments", type=pathlib.Path, default=REPOSITORY, help="Folder of .venv-NAME.")
    options = parser.parse_args(arguments)
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    environments, work_dir = options.environments.absolute(), options.work_dir.resolve()
    if options.install:
        install_peers(environments)
    inputs = make_inputs(work_dir, options.images, options.scale, options.num_shards)
    bench = Bench(inputs, options.images, environments, work_dir / "run.log")
    every = [program for program in make_programs(inputs, beam_writer=options.beam_writer) if program.part in parts]
    installed = [program for program in every if bench.is_installed(program)]
    checked = {program.name: bench.check(program) for program in installed}
    usages: dict[str, list[Usage]] = {}
    for part in parts:
        runs = {
            program.name: functools.partial(bench.measure, program) for program in installed if program.part == part
        }
        usages |= run_in_turn(runs, options.pairs, bench.clear)
    shutil.rmtree(inputs.output_dir)
    image_bytes = sum(path.stat().st_size for path in (inputs.release / "images").rglob("*.jpg"))
    table_bytes = sum(path.stat().st_size for path in inputs.tables.rglob("*.csv"))
    print(
        f"{options.images:,} JPEGs, {image_bytes / 1e6:,.0f} MB; tables of the join {table_bytes / 1e6:,.0f} MB; page "
        f"cache warm; {os.cpu_count()} processors ({platform.machine()}); {options.pairs} runs of each in turn\n\n"
        f"{HEADER}"
    )
    print("\n".join(format_rows(every, checked, usages)))
    for name in dict.fromkeys([OWN, *(program.environment for program in installed)]):
        python = python_of(name, environments)
        print(f"\n{f'.venv-{name}' if name else 'Ours'}: {_versions(python or '', PACKAGES[name])}.")


if __name__ == "__main__":
    main()
