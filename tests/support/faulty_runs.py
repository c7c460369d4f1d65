"""Whole conversions on storage that fails (`faulty://`), by Beam's FnApiRunner, at little cost each."""

import contextlib
import dataclasses
import io
import logging
import os
import pathlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager
from apache_beam.runners.worker import statecache
from apache_beam.transforms import userstate

from oi_tfrecord import storage
from oi_tfrecord.cli.main import main
from oi_tfrecord.conversion import pipeline, run_plan
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.tfrecord import read_records
from tests.support import small_release
from tests.support.fault_filesystem import Faults, FaultyFileSystem, WorkerKilled

ALL_THROUGH_BEAM = os.environ.get("OI_TFRECORD_LONG") == "1"
"""Whether all schedules run the whole command, as in `make long`, or most of them a model of an engine."""
IN, OUT = "faulty://in", "faulty://out/dataset"
WAYS: dict[str, dict[str, object]] = {
    "files": {"workers": 1},
    "threads": {"workers": 2},
    "runner": {"workers": 1, "runner": "FnApiRunner"},
}
"""Flags by which rows are shuffled through files, the same with two shards or ranges at once, or by the runner."""
BEAM_WAYS: dict[str, dict[str, object]] = {name: {**flags, "job_name": "faults"} for name, flags in WAYS.items()}
"""The same, all on Beam's FnApiRunner: a run with a flag of Beam goes through Beam."""
RUNS = 5
"""How often the user runs a failing command again before the storage works again."""
ATTEMPTS = 4
"""How often an engine tries a bundle before the job fails, as Dataflow and Spark do."""


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A release on `faulty://`, and what its conversion writes there when nothing fails."""

    release: small_release.Release
    inputs: dict[str, bytes]
    undisturbed: dict[str, bytes]

    @classmethod
    def of(cls, release: small_release.Release) -> "Conversion":
        data = {f"{IN}/{name}": data for name, data in small_release.dataset(release.folder).items()}
        made = cls(release, data, {})
        made.run_once(Faults(0, error_rate=0.0), "files")
        return dataclasses.replace(made, undisturbed=written())

    def flags(self, **others: object) -> list[str]:
        places = {"data_dir": IN, "images": IN + "/images/{image_id}.jpg", "num_shards": 3, "read_threads": 1}
        return self.release.flags(OUT, **{**places, **others})

    def start(self, faults: Faults) -> None:
        FaultyFileSystem.files.clear()
        FaultyFileSystem.files.update(self.inputs)
        FaultyFileSystem.faults = faults

    def run_once(self, faults: Faults, way: str, **others: object) -> None:
        self.start(faults)
        assert run_command(self.flags(**WAYS[way], **others))[0] == 0

    def run_to_the_end(self, faults: Faults, way: dict[str, object]) -> "Ended":
        """Runs the command with more flags again and again; each run but the last, at most RUNS, has faults."""
        self.start(faults)
        printed: list[str] = []
        killed = 0
        for run in range(RUNS + 1):
            faults.active = run < RUNS
            faults.failed.clear()
            with faults.worker():
                try:
                    code, err = run_command(self.flags(**way))
                except WorkerKilled:
                    killed += 1
                    continue
                if faults.killed:
                    # Of two shards at once the one reports a fault, and the other's worker is killed.
                    assert code == 1, err
                    killed += 1
                    continue
            if code == 0:
                return Ended(run, printed, killed)
            printed.append(error_of(code, err, faults))
        raise AssertionError(f"seed {faults.seed}, {way}: no end without faults: {printed}")


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a conversion came to its end.

    Attributes:
        failed: runs that did not end well.
        printed: the error of each of those whose command was not killed.
        killed: the others.
    """

    failed: int
    printed: list[str]
    killed: int


def run_command(flags: list[str]) -> tuple[int, str]:
    """Returns the exit code of the command, and what the command prints on standard error, the log included."""
    err = io.StringIO()
    log = logging.StreamHandler(err)
    log.setLevel(logging.WARNING)
    # A process that is killed prints nothing.
    log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], WorkerKilled)))
    logging.getLogger().addHandler(log)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            return main(["convert", *flags]), err.getvalue()
    finally:
        logging.getLogger().removeHandler(log)


def error_of(code: int, err: str, faults: Faults) -> str:
    """Returns the error of a command that failed: one line that names a file that failed and what is wrong with it."""
    lines = [line for line in err.splitlines() if not line.startswith(("[", "Resuming: "))]
    # A run whose last step failed after the manifest was written is complete for the next run.
    lines = [line for line in lines if "are rejected as before: correct them" not in line]
    assert code == 1, err
    assert len(lines) == 1, err
    assert lines[0].startswith("error: "), err
    assert "injected: " in lines[0], err
    assert any(path in lines[0] for path in faults.failed), (err, faults.failed)
    return lines[0]


def written() -> dict[str, bytes]:
    """Returns the files of the dataset; the work folder that a rerun would use is no part of the dataset."""
    out = {path: data for path, data in FaultyFileSystem.files.items() if path.startswith("faulty://out/")}
    return {path: data for path, data in out.items() if "/.oi_tfrecord-" not in path}


def image_ids(files: dict[str, bytes]) -> Counter[str]:
    """Returns how many records there are of each image."""
    found: Counter[str] = Counter()
    for path, data in files.items():
        if ".tfrecord-" in path:
            for _, record in read_records(io.BytesIO(data)):
                found[bytes(parse_example(record)["image/source_id"][0]).decode()] += 1
    return found


@contextlib.contextmanager
def few_images(folder: pathlib.Path) -> Iterator[Conversion]:
    """Gives the conversion of a release of 12 images, which it makes, and clears the storage in the end."""
    yield Conversion.of(small_release.write_release(folder, images=12, seed=4))
    FaultyFileSystem.files.clear()
    FaultyFileSystem.faults = Faults(0, error_rate=0.0)


def kinds_of(seeds: Iterable[int]) -> set[str]:
    """Returns the kinds of faults that the schedules of some seeds have."""
    schedules = list(map(Faults.of_seed, seeds))
    others = (("kill_rate", "worker killed"), ("rename_rate", "rename failed"), ("full_from", "disk full"))
    found = {kind for field, kind in others if any(getattr(faults, field) for faults in schedules)}
    return {"read error", "write error"} | found


@contextlib.contextmanager
def cheap_pipelines() -> Iterator[None]:
    """Makes a pipeline of the same plan and the same finished shards only once, and has local shuffles fail, too.

    That is two thirds of what a small conversion costs. Every run has workers of its own.
    """
    graphs: dict[str, Any] = {}
    specs: dict[type, Any] = {}
    build, to_graph, find_specs = pipeline.build_pipeline, apache_beam.Pipeline.to_runner_api, userstate.get_dofn_specs

    def build_once(root: Any, plan: Any, finished: Any) -> Any:
        # The samples are no part of the pipeline, and change as they are read.
        root.key = repr((dataclasses.replace(plan, samples=None), sorted(finished)))
        return None if root.key in graphs else build(root, plan, finished)

    def to_graph_once(root: Any, **options: Any) -> Any:
        if root.key not in graphs:
            graphs[root.key] = to_graph(root, **options)
        return graphs[root.key]

    def find_specs_once(step: Any) -> Any:
        if type(step) not in specs:
            specs[type(step)] = find_specs(step)
        return specs[type(step)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_pipeline", build_once)
        patch.setattr(apache_beam.Pipeline, "to_runner_api", to_graph_once)
        patch.setattr(userstate, "get_dofn_specs", find_specs_once)
        patch.setattr(statecache, "get_deep_size", lambda *values: 1)
        patch.setattr(run_plan, "temporary_folder", _faulty_folder)
        yield


@contextlib.contextmanager
def _faulty_folder(folder: str = "") -> Iterator[str]:
    # Where it is when the output is on a local disk.
    shuffle = WorkFolder.of(OUT, "train").shuffle
    try:
        yield shuffle
    finally:
        with contextlib.suppress(Exception):
            storage.delete_folder(shuffle)


@contextlib.contextmanager
def bundles_tried_again(faults: Faults) -> Iterator[Counter[str]]:
    """Makes the FnApiRunner repeat bundles as engines do, and counts the repetitions.

    A bundle that failed or whose worker was killed runs again; now and then a bundle runs a second time and its
    output is dropped.
    """
    done: Counter[str] = Counter()
    chosen = random.Random(faults.seed)
    run_bundle: Callable[..., Any] = BundleManager.process_bundle

    def run_again(*arguments: Any) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                with faults.worker():
                    result = run_bundle(*arguments)
                break
            except (Exception, WorkerKilled):
                done["again"] += 1
                if attempt == ATTEMPTS - 1:
                    raise
        if chosen.random() < 0.1:
            done["twice"] += 1
            with contextlib.suppress(Exception, WorkerKilled), faults.worker():
                run_bundle(*arguments, dry_run=True)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BundleManager, "process_bundle", run_again)
        yield done
