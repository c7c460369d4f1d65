"""The Dataflow job as the service would get it, built offline, and its files staged to a GCS emulator."""

import io
import json
import pathlib
import re
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.pipeline import build_pipeline
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.errors import ConfigError, EngineError
from tests.support import small_release
from tests.support.object_servers import BUCKET, Store, serve
from tests.support.optional import require
from tests.support.small_release import Release, convert

require("google.cloud.dataflow_v1beta3")

GRAPH_BYTES = 10_000_000
"""Dataflow takes no larger job (cloud.google.com/dataflow/quotas)."""
CLOUD = [
    "--runner_config=dataflow", "--no_auth", "--project=project-id", "--region=r",
    "--temp_location=gs://bucket-name/tmp", "--setup_file=./setup.py",
]  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small_release.ROOT)


def test_the_command_describes_the_job_and_writes_nothing(release: Release, tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    assert convert([*release.flags(tmp_path / "out"), *CLOUD, "--beam_dry_run"], out) == 0
    printed = re.search(r"job +([\d,]+) steps, ([\d,]+) bytes; staged: (.*)", out.getvalue())
    assert printed is not None
    assert "workflow.tar.gz" in printed[3].split(", ")
    # Nothing in __main__ is needed, so the session is not sent.
    assert "pickled_main_session" not in printed[3]
    assert not (tmp_path / "out").exists()


def graph_of(flags: list[str], finished: int = 0):  # type: ignore[no-untyped-def]
    """Returns the graph of the job that would be submitted."""
    command = parse_convert([*flags, *CLOUD[:-1], "--beam_dry_run"])
    plan = make_plan(command.config)
    pipeline = Pipeline(options=PipelineOptions(list(command.beam_arguments)))
    build_pipeline(pipeline, plan, range(finished))
    return pipeline.run().job.proto_pipeline


STEPS = {
    "ReadTables", "ReadTables/CreateLineRanges", "ReadTables/CreateQuotedRanges", "ReadTables/ScanQuotes",
    "ReadTables/GroupByFile", "ReadTables/ResolveRanges", "ReadTables/FlattenRanges", "ReadTables/SpreadRanges",
    "ReadTables/ReadRanges", "GroupBatches", "GroupBatches/CreateShards", "GroupBatches/SeedShards",
    "GroupBatches/KeyBatches", "GroupBatches/FlattenSeeds", "GroupBatches/GroupByShard", "ClaimLabelMap", "TakeContent",
    "StoreInputs", "WriteShards", "WriteShards/WriteShard",
    "FinishDataset", "FinishDataset/KeyAccounts", "FinishDataset/KeyShards", "FinishDataset/GroupResults",
    "FinishDataset/WriteManifest",
}  # fmt: skip


@pytest.mark.parametrize(
    ("order", "others"),
    [("list", {"CreateLabelMap"}), ("frequency", {"TakeClassRows", "CountClasses", "OrderByFrequency"})],
)
def test_step_names_are_fixed(order: str, others: set[str], release: Release, tmp_path: pathlib.Path) -> None:
    graph = graph_of(release.flags(tmp_path, num_shards=3, label_order=order))
    roots = set(graph.root_transform_ids)
    steps = graph.components.transforms
    [top] = [steps[root] for root in roots]
    outer = {steps[step].unique_name: steps[step] for step in top.subtransforms}
    inner = {steps[step].unique_name for name in outer if name not in others for step in outer[name].subtransforms}
    assert set(outer) | inner == STEPS | others
    # A name with code in it changes with the code, and then a running job cannot be found again.
    names = {step.unique_name for step in steps.values()}
    assert not [name for name in names if "<lambda" in name and not re.search("Create|Reshuffle|Combine|Count", name)]


@pytest.mark.parametrize("finished", [0, 2047])
def test_the_graph_of_2048_shards_is_within_the_limit(finished: int, release: Release, tmp_path: pathlib.Path) -> None:
    graph = graph_of(release.flags(tmp_path, num_shards=2048), finished)
    assert graph.ByteSize() < GRAPH_BYTES


def test_thousands_of_files_fit_the_graph(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12, faults=False)
    header, *rows = small_release.read_table(release.folder, "boxes")
    parts = release.folder / "parts"
    parts.mkdir()
    text = ",".join(header) + "\n" + ",".join(rows[0]) + "\n"
    for number in range(3000):
        (parts / f"a-rather-long-name-of-a-part-of-the-boxes-{number:05d}.csv").write_text(text)
    graph = graph_of(release.flags(tmp_path / "out", num_shards=2048, boxes="parts/*.csv"))
    assert graph.ByteSize() < GRAPH_BYTES


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with serve("gs") as store:
        for name, value in store.environment().items():
            monkeypatch.setenv(name, value)
        yield store


def settings_of(job: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings that Dataflow would take from a job, by the names of the runner configuration."""
    [pool] = job["environment"]["workerPools"]
    scaling = pool["autoscalingSettings"]
    options = job["environment"]["sdkPipelineOptions"]["options"]
    return {
        "runner": options["runner"],
        "machine_type": pool["machineType"],
        "number_of_worker_harness_threads": pool["numThreadsPerWorker"],
        "disk_size_gb": pool["diskSizeGb"],
        "num_workers": pool["numWorkers"],
        "autoscaling_algorithm": {"AUTOSCALING_ALGORITHM_BASIC": "THROUGHPUT_BASED"}[scaling["algorithm"]],
        "max_num_workers": scaling["maxNumWorkers"],
        "labels": [f"{key}={value}" for key, value in job["labels"].items() if key == "application"],
        "no_save_main_session": not options["save_main_session"],
        "no_use_public_ips": pool["ipConfiguration"] == "WORKER_IP_PRIVATE",
    }


def test_a_template_stages_what_workers_need(bucket: Store, release: Release, tmp_path: pathlib.Path) -> None:
    """As the launcher of the flex template does: with --template_location the job is staged and not submitted."""
    flags = [flag for flag in CLOUD if not flag.startswith("--temp_location")]
    flags += [f"--temp_location={bucket.root}/tmp", f"--template_location={bucket.root}/template.json"]
    done = small_release.run_command([*release.flags(tmp_path / "out", num_shards=3), *flags])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "The job was built" in done.stdout
    staged = {name.rpartition("/")[2]: data for name, data in bucket.get_all("tmp/").items()}
    job = json.loads(bucket.get_all("template.json")[""])
    shipped = yaml.safe_load((small_release.ROOT / "configs" / "runners" / "dataflow.yaml").read_text())
    assert settings_of(job) == shipped
    url = next(part for part in re.findall(r"gs://[^\"]+", json.dumps(job)) if part.endswith("pipeline.pb"))
    assert url.startswith(f"gs://{BUCKET}/tmp/")
    graph = beam_runner_api_pb2.Pipeline.FromString(staged["pipeline.pb"])
    names = {step.unique_name for step in graph.components.transforms.values()}
    # Nobody waits for a template's job, so the job itself fails by too many rejects.
    assert {"WriteShards/WriteShard", "CheckRejects"} <= names
    with tarfile.open(fileobj=io.BytesIO(staged["workflow.tar.gz"])) as package:
        names = {name.partition("/")[2] for name in package.getnames()}
    assert {"setup.py", "README.md", "oi_tfrecord/conversion/shard.py", "configs/v3.yaml"} <= names
    assert "configs/runners/dataflow.yaml" in names
    # The job is not over, so its work folder stays.
    assert (tmp_path / "out" / ".oi_tfrecord-train" / "fingerprint.json").exists()


def test_a_submitted_job_is_named_with_its_page_and_its_end(
    bucket: Store,
    release: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from apache_beam.runners.dataflow.internal import apiclient
    from google.cloud import dataflow_v1beta3 as api

    class Service:
        """Answers in place of Dataflow, which cannot be reached here: it takes a job, and cancels it."""

        def __init__(self, **_: object): ...

        def create_job(self, request: object = None, **_: object) -> api.Job:
            return self.get_job()

        def get_job(self, request: object = None, **_: object) -> api.Job:
            state = api.JobState.JOB_STATE_CANCELLED
            return api.Job(id="2026-01-02-03", current_state=state, project_id="project-id", location="us-central1")

    for name in ("JobsV1Beta3Client", "MessagesV1Beta3Client", "MetricsV1Beta3Client"):
        monkeypatch.setattr(apiclient.dataflow, name, Service)
    monkeypatch.setattr(apiclient.DataflowApplicationClient, "list_messages", lambda *_, **__: ([], None))
    flags = ["--runner_config=dataflow", "--no_auth", "--project=project-id", "--region=us-central1"]
    flags += [f"--temp_location={bucket.root}/tmp", "--sdk_container_image=x"]
    with pytest.raises(EngineError, match=r"the job ended in state CANCELLED.*run the same command again"):
        convert([*release.flags(tmp_path / "out", num_shards=3), *flags])
    printed = capsys.readouterr().err
    assert "https://console.cloud.google.com/dataflow/jobs/us-central1/2026-01-02-03?project=project-id" in printed
    assert "gcloud dataflow jobs cancel 2026-01-02-03 --project=project-id --region=us-central1" in printed


@pytest.mark.parametrize("setting", [{"max_images": 4}, {"dry_run": True}])
def test_a_template_is_one_job_that_writes(setting: dict[str, Any], release: Release, tmp_path: pathlib.Path) -> None:
    flags = release.flags(tmp_path / "out", num_shards=3, **setting)
    with pytest.raises(ConfigError, match=next(iter(setting))):
        convert([*flags, *CLOUD, "--template_location=gs://bucket-name/template.json"])
