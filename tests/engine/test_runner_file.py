import pathlib
import re
from typing import Any

import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.shard_images import REMOTE_THREADS
from oi_tfrecord.engine.runner_file import RunnerFile, combine_runner_flags, read_runner_file
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.yaml_file import load_mapping

ROOT = pathlib.Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs" / "runners").glob("*.yaml"))


def test_there_is_one_for_each_runner() -> None:
    assert [path.stem for path in SHIPPED] == ["dataflow", "direct", "flink", "prism", "spark"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_taken_by_beam_as_it_is_written(path: pathlib.Path) -> None:
    arguments = parse_convert([f"--runner_config={path.stem}"]).beam_arguments
    options = PipelineOptions(list(arguments)).get_all_options(drop_default=True)
    for key, value in yaml.safe_load(path.read_text()).items():
        name = key.removeprefix("no_")
        # Beam keeps some numbers as texts.
        assert str(options[name]) == str(not value if name != key else value)
    # Each says what it costs to run on.
    text = path.read_text()
    assert all(word in text for word in ("Worker type", "isk", "utoscaling", "Cost"))


def test_what_is_said_of_dataflow_is_so() -> None:
    text = " ".join((ROOT / "configs" / "runners" / "dataflow.yaml").read_text().replace("#", "").split())
    assert f"are read by {REMOTE_THREADS} threads" in text
    assert (
        f"each worker reads {REMOTE_THREADS} images at once" in (ROOT / "docs" / "guides" / "dataflow.md").read_text()
    )
    named = re.findall(r"templates/[\w./]*\w", text)
    assert named
    assert all((ROOT / path).is_file() for path in named)


def test_a_path_is_read_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.yaml").write_text("runner: FlinkRunner\nparallelism: 3\n")
    command = parse_convert([f"--runner_config={tmp_path / 'own.yaml'}"])
    assert command.beam_arguments == ("--runner=FlinkRunner", "--parallelism=3")


def test_a_flag_wins_by_whatever_name_it_has(tmp_path: pathlib.Path) -> None:
    given = ["--worker_machine_type=e2-standard-4", "--use_public_ips", "--experiments", "mine"]
    path = tmp_path / "own.yaml"
    path.write_text("machine_type: n1-standard-2\nno_use_public_ips: true\nexperiments: [a, b]\ndisk_size_gb: 30\n")
    arguments = combine_runner_flags(read_runner_file(str(path)), given)
    assert arguments == ("--disk_size_gb=30", *given)
    options = PipelineOptions(list(arguments)).view_as(WorkerOptions)
    assert (options.machine_type, options.use_public_ips, options.disk_size_gb) == ("e2-standard-4", True, 30)


def shipped_options(given: list[str]) -> dict[str, Any]:
    """Returns what Beam makes of the flags of `convert`."""
    return PipelineOptions(list(parse_convert(given).beam_arguments)).get_all_options()


def test_a_job_on_dataflow_has_the_shipped_settings_where_it_names_none(tmp_path: pathlib.Path) -> None:
    """Flags of a flex template's launcher: the pipeline's own among them, and no --runner_config."""
    launcher = [
        "--config=v3", "--data_dir=gs://b/2017_11", "--images=gs://b/train/{image_id}.jpg", "--job_name=oi-tfrecord",
        "--output_dir=gs://b/records", "--project=project-id", "--region=region-1", "--runner=DataflowRunner",
        "--sdk_container_image=image:1", "--split=train", "--staging_location=gs://b/staging",
        "--temp_location=gs://b/tmp", "--template_location=gs://b/staging/template_launches/1/job_object",
    ]  # fmt: skip
    shipped = shipped_options(["--runner_config=dataflow"])
    for runner in ("--runner=DataflowRunner", "--runner=dataflow"):
        options = shipped_options([*(flag for flag in launcher if not flag.startswith("--runner=")), runner])
        for key, value in yaml.safe_load((ROOT / "configs" / "runners" / "dataflow.yaml").read_text()).items():
            name = key.removeprefix("no_")
            assert options[name] == shipped[name] or key == "runner"
            assert str(options[name]) == str(not value if name != key else value) or key == "runner"
        assert options["sdk_container_image"] == "image:1"
        assert options["template_location"].endswith("/job_object")
    # What gcloud's --max-workers, --worker-machine-type and --additional-pipeline-options give wins.
    given = ["--max_num_workers=7", "--machine_type=e2-standard-2", "--disk_size_gb=50"]
    options = shipped_options([*launcher, *given])
    assert (options["max_num_workers"], options["machine_type"], options["disk_size_gb"]) == (7, "e2-standard-2", 50)
    assert options["number_of_worker_harness_threads"] == 1
    # And a runner configuration that is named replaces the shipped one as a whole.
    (tmp_path / "own.yaml").write_text("disk_size_gb: 99\n")
    options = shipped_options([*launcher, f"--runner_config={tmp_path / 'own.yaml'}"])
    assert (options["disk_size_gb"], options["number_of_worker_harness_threads"]) == (99, None)


@pytest.mark.parametrize("flags", [[], ["--runner=FlinkRunner"], ["--runner=DirectRunner"]])
def test_another_runner_has_no_settings_it_did_not_name(flags: list[str]) -> None:
    assert parse_convert(flags).beam_arguments == tuple(flags)


def parse(text: str) -> list[str]:
    return RunnerFile("own.yaml", load_mapping(text, "own.yaml")).flags()


def test_values_become_flags() -> None:
    text = "experiments: [a, b=1]\nlabels: [x=y]\nstreaming: false\nno_use_public_ips: true\nmax_num_workers: 9\n"
    assert parse(text) == [
        "--experiments=a", "--experiments=b=1", "--labels=x=y", "--no_use_public_ips", "--max_num_workers=9",
    ]  # fmt: skip
    assert parse("# nothing\n") == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_num_worker: 3", "did you mean 'max_num_workers'"),
        ("num_shards: 3", "num_shards"),
        ("max_num_workers: many", "'many' is no int"),
        ("environment_type: [a, b]", "takes one value"),
        ("autoscaling_algorithm: SOMETIMES", "THROUGHPUT_BASED"),
        ("streaming: 3", "takes no value"),
        ("region:", "not a single value"),
        ("labels: [{a: b}]", "not a single value"),
        ("- runner", "keys and values"),
        ("runner: [", "is not YAML"),
        ("[" * 5000, "too many values are nested"),
    ],
)
def test_what_the_command_line_would_not_take_is_refused(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(named)):
        parse(text)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"runner_config: no file 'dataflo'.*did you mean 'dataflow'"):
        parse_convert(["--runner_config=dataflo"])
    # A release is no runner.
    with pytest.raises(ConfigError, match="no file 'v3'"):
        parse_convert(["--runner_config=v3"])


def test_both_dry_runs_can_be_had(tmp_path: pathlib.Path) -> None:
    ours = parse_convert(["--runner=DataflowRunner", "--dry_run"])
    assert (ours.config.dry_run, ours.beam_dry_run) == (True, False)
    assert "--dry_run=True" not in ours.beam_arguments
    beams = parse_convert(["--runner=DataflowRunner", "--beam_dry_run"])
    assert (beams.config.dry_run, beams.beam_dry_run) == (False, True)
    assert beams.beam_arguments[-2:] == ("--runner=DataflowRunner", "--dry_run=True")
    (tmp_path / "own.yaml").write_text("runner: DataflowRunner\ndry_run: true\n")
    assert parse_convert([f"--runner_config={tmp_path / 'own.yaml'}"]).beam_dry_run
    for flags in (["--beam_dry_run"], ["--runner=FlinkRunner", "--beam_dry_run"]):
        with pytest.raises(ConfigError, match="beam_dry_run"):
            parse_convert(flags)
