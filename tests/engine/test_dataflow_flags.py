import pathlib
import sys

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.engine.beam_internals import find_option_problems
from oi_tfrecord.engine.dataflow_flags import check_job
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.yaml_file import shipped_configs
from tests.support import small_release
from tests.support.optional import require

require("google.cloud.dataflow_v1beta3")

PROJECT, REGION, TEMP = "--project=project-id", "--region=region-1", "--temp_location=gs://bucket-name/tmp"
DATAFLOW = "--runner=DataflowRunner"


@pytest.fixture(autouse=True)
def no_defaults_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Beam asks gcloud for a region that is not given."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    for name in ("CLOUDSDK_COMPUTE_REGION", "CLOUDSDK_CORE_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--temp_location=anywhere",),
        ("--runner=DirectRunner",),
        ("--runner=FlinkRunner", "--parallelism=2"),
        (DATAFLOW, PROJECT, REGION, TEMP),
        ("--runner", "dataflow", PROJECT, REGION, "--staging_location=gs://bucket-name/staging"),
    ],
)
def test_what_a_runner_takes_passes(arguments: tuple[str, ...]) -> None:
    check_job(arguments)


@pytest.mark.parametrize("name", shipped_configs("runners"))
def test_shipped_runner_configurations_pass(name: str) -> None:
    given = [PROJECT, REGION, TEMP] if name == "dataflow" else []
    check_job(parse_convert([f"--runner_config={name}", *given]).beam_arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (DATAFLOW,),
            "project: is needed by DataflowRunner; "
            "give --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp",
        ),
        ((DATAFLOW, PROJECT, TEMP), "region: is needed by DataflowRunner; give --region=REGION"),
        ((DATAFLOW, PROJECT, REGION), "temp_location: is needed by DataflowRunner; give --temp_location=gs://BUCKET/tmp"),
        (
            (DATAFLOW, PROJECT, REGION, "--temp_location=/tmp/here"),
            "flags: Invalid GCS path (/tmp/here), given for the option: temp_location.",
        ),
        (
            (DATAFLOW, PROJECT, REGION, TEMP, "--num_workers=9", "--max_num_workers=3"),
            "flags: num_workers (9) cannot exceed max_num_workers (3)",
        ),
        (
            (DATAFLOW, "--project=12345", REGION, TEMP),
            "flags: Invalid Project ID (12345). Please make sure you specified the Project ID, not project number.",
        ),
    ],
)  # fmt: skip
def test_a_missing_flag_is_named_with_an_example(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_job(arguments)
    assert str(raised.value) == message


def test_an_unknown_runner_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^runner: .*Dataflo\b.*DataflowRunner") as raised:
        check_job(("--runner=Dataflo",))
    assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match=r"^runner: "):
        check_job(("--runner=apache_beam.no_such_module.Runner",))


def test_a_runner_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam.runners.dataflow.dataflow_runner", None)
    with pytest.raises(ConfigError, match=r"^runner: .*apache_beam\[gcp\]"):
        check_job((DATAFLOW, PROJECT, REGION, TEMP))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runner_config=dataflow"], "error: project: is needed by DataflowRunner; give --project=PROJECT "),
        (["--runner_config=dataflow", "--max_num_workers=many"], "error: max_num_workers: 'many' is no int"),
        (["--runner=DataflowRunner", PROJECT, REGION], "error: temp_location: is needed"),
        (["--runner=Nothing"], "error: runner: "),
        (["--dry_run", "--runner=PrismRunner"], "error: dry_run: counts and times on this machine"),
    ],
)
def test_a_command_ends_in_one_line_and_leaves_nothing(flags: list[str], message: str, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    done = small_release.run_command([*release.flags(tmp_path / "out", num_shards=1), *flags])
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_validator_skips_the_check_that_sends_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GoogleCloudOptions, "validate", lambda *_: pytest.fail("it sends requests"))
    before = list(PipelineOptionsValidator.OPTIONS)
    options = PipelineOptions(["--runner=DataflowRunner", "--project=project-id", "--temp_location=gs://b-c/tmp"])
    [problem] = find_option_problems(options, create_runner("DataflowRunner"), checks_google=True)
    assert "region" in problem
    assert find_option_problems(options, create_runner("DataflowRunner"), checks_google=False) == []
    assert before == PipelineOptionsValidator.OPTIONS


def test_one_good_folder_of_google_is_enough() -> None:
    flags = ["--project=project-id", "--region=r"]
    bad, good = "--temp_location=/tmp", "--staging_location=gs://bucket-name/s"
    for given, count in (([bad], 1), ([good], 0), ([bad, good], 0)):
        options = PipelineOptions([*flags, *given])
        assert len(find_option_problems(options, create_runner("DataflowRunner"), checks_google=True)) == count, given
