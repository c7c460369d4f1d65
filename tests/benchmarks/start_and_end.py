"""Time, memory and requests of the parts of a conversion that run on one machine, whatever the cluster.

  python -m tests.benchmarks.start_and_end --work_dir=/tmp/start_and_end

Planning, a resumption, the last step and the end of a conversion of 9 million images to 20,000 shards, whose tables and
results are invented. They lie in an S3 server and in a GCS emulator on the loopback; a proxy gives each answer 50 ms
later. Each phase is a process of its own:

- plan: what is done until the job is submitted, the graph of the job included;
- resume: the same, when all shards but one are finished;
- last step: the accounts of all shards to manifest, label map and list of rejects;
- end: what is done when the job has ended; the work folder is deleted.

The answers to reads of objects come from the proxy's memory, as each takes the servers, which are Python, several
milliseconds. All other requests take that time; their processor time is in the table.
"""

import argparse
import os
import pathlib
import sys

from tests.benchmarks.filled_store import TABLES, FilledStore, make_inputs, make_results
from tests.benchmarks.usage import Usage, run_measured
from tests.support.object_servers import BUCKET, GcsStore, S3Store, Store
from tests.support.slow_store import SlowStore

PHASES = ("plan", "resume", "last step", "end")

WARM = "warm"
"""Reads all results once, so that the proxy has them."""

_READ = r"/results/shard-|\.jpg"
"""Objects whose answers the proxy keeps."""


def run_phase(phase: str, root: str, num_shards: int) -> None:
    """Does one phase of the conversion; its store is that of Beam's flags in the environment."""
    from apache_beam import Pipeline
    from apache_beam.internal.gcp import auth

    from oi_tfrecord.conversion.convert import plan_conversion
    from oi_tfrecord.conversion.finish import finish_dataset
    from oi_tfrecord.conversion.pipeline import build_pipeline
    from oi_tfrecord.dataset.accounts import RangeAccount, read_shard_accounts, sum_accounts
    from oi_tfrecord.dataset.output_state import prepare_output, read_split
    from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
    from oi_tfrecord.engine.progress_line import PrintedProgress
    from oi_tfrecord.settings.yaml_file import read_config

    given = {
        "split": "train", "data_dir": f"{root}/{TABLES}", "images": f"{root}/images/{{image_id}}.jpg",
        "output_dir": f"{root}/records", "num_shards": num_shards, "select": "all",
    }  # fmt: skip
    config = read_config("v3", given)
    # An emulator has no credentials, for which Google's library would look for 20 seconds.
    auth._Credentials._credentials_init = True
    accept_beam_arguments(os.environ["STORE_FLAGS"].split())
    progress = PrintedProgress()
    plan = plan_conversion(config, progress, is_here=False)
    print(plan.shard_job().conversion)
    if phase in ("plan", "resume"):
        state = prepare_output(plan.target)
        pipeline = Pipeline()
        build_pipeline(pipeline, plan, state.finished)
        print(len(state.finished), "finished,", pipeline.to_runner_api().ByteSize(), "bytes of graph")
    elif phase == WARM:
        assert sum(1 for _ in plan.work.results()) == num_shards
    elif phase == "last step":
        mids = plan.classes.vocabulary.mids
        ranges = [
            RangeAccount(
                str(file.table), file.number, 0, 0, file.size, 0, 1, 0, {}, {}, dict.fromkeys(mids, 1), False, True
            )
            for file in plan.tables
        ]
        accounts = sum_accounts(ranges, read_shard_accounts(plan.work, range(num_shards)))
        finish_dataset(plan.finish_job(), accounts, plan.classes.make_label_map({}))
    else:
        assert len(read_split(config.output_dir, "train")["shards"]) == num_shards
        plan.work.delete()


def measure(phase: str, store: Store, slow: SlowStore, given: argparse.Namespace) -> Usage:
    """Runs a phase in a process of its own."""
    environment = {
        **os.environ, **store.environment(slow.port), "STORE_FLAGS": " ".join(store.flags(slow.port)),
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        f"--phase={phase}",
        f"--root={store.root}",
        f"--shards={given.shards}",
    ]
    log = given.work_dir / f"{store.scheme}-{phase.replace(' ', '-')}.log"
    return run_measured(command, log, environment, pathlib.Path.cwd())


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemes", default="s3,gs")
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=9_000_000)
    parser.add_argument("--delay_ms", type=float, default=50)
    parser.add_argument("--work_dir", type=pathlib.Path, default=pathlib.Path("/tmp/start_and_end"))
    parser.add_argument("--phase", choices=(*PHASES, WARM), help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phase:
        run_phase(given.phase, given.root, given.shards)
        return
    given.work_dir.mkdir(parents=True, exist_ok=True)
    print("| store | part | seconds | processor s | peak MB | requests | at once | processor s of the server |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for scheme in given.schemes.split(","):
        run_scheme(scheme, given)


def run_scheme(scheme: str, given: argparse.Namespace) -> None:
    """Prints a line for each phase on one store."""
    filled = FilledStore(scheme)
    slow = SlowStore(filled.port)
    store = S3Store(filled.port) if scheme == "s3" else GcsStore(filled.port)
    try:
        filled.fill(make_inputs, given.images)
        for phase in PHASES:
            slow.set(delay=given.delay_ms / 1000, kept=_READ, image=f"/{BUCKET}/image.jpg")
            before = filled.cpu_seconds()
            used = measure(phase, store, slow, given)
            counts = slow.counts()
            print(
                f"| {scheme} | {phase} | {used.seconds:.1f} | {used.cpu_seconds:.1f} | {used.peak_bytes / 1e6:,.0f} "
                f"| {sum(counts['requests'].values()):,} | {counts['most']} | {filled.cpu_seconds() - before:.1f} |",
                flush=True,
            )
            if phase == "plan":
                [conversion] = [line for line in used.out.splitlines() if len(line) == 64]
                filled.fill(make_results, "records", given.shards, given.images, conversion)
                slow.set(kept=_READ, image=f"/{BUCKET}/image.jpg")
                measure(WARM, store, slow, given)
    finally:
        slow.stop()
        filled.stop()


if __name__ == "__main__":
    main()
