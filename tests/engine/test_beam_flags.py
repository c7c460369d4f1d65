import pytest

from oi_tfrecord.engine.beam_flags import (
    count_slots,
    destination,
    is_dataflow,
    runs_here,
    split_beam_arguments,
    value_of,
    without_store_keys,
)
from oi_tfrecord.errors import ConfigError


def test_an_unknown_flag_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean '--num_shards'"):
        split_beam_arguments(["--num_shard=3"], ["num_shards"])


def test_words_that_are_no_values_of_flags_are_separated() -> None:
    flags = ("--machine_type", "n1-standard-2", "--streaming")
    assert split_beam_arguments(["a", *flags, "b"], []) == (("a", "b"), flags)
    assert split_beam_arguments(["a"], []) == (("a",), ())


def test_flags_of_one_option_have_one_destination() -> None:
    assert destination("--no_use_public_ips") == destination("--use_public_ips") == "use_public_ips"
    assert destination("--worker_machine_type=a") == destination("--machine_type=b")


def test_the_last_value_counts() -> None:
    assert value_of(["--runner=A", "--runner", "B"], "--runner") == "B"
    assert value_of(["--runner_x=A"], "--runner") == ""


def test_a_run_runs_here_without_a_runner() -> None:
    assert runs_here(["--temp_location=gs://b/t"])
    assert not runs_here(["--runner", "FlinkRunner"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_num_workers=many"], "max_num_workers: 'many' is no int"),
        (["--max_num_workers", "many"], "max_num_workers: 'many' is no int"),
        (["--autoscaling_algorithm=SOMETIMES"], "autoscaling_algorithm: 'SOMETIMES' is none of NONE, THROUGHPUT_BASED"),
        (["--streaming=true"], "streaming: takes no value, and 'true' is given"),
        (["--region"], "region: needs a value"),
        (["--region", "--project=p"], "region: needs a value"),
    ],
)
def test_a_value_that_beam_would_not_take_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        split_beam_arguments(arguments, [])
    assert str(raised.value) == message


@pytest.mark.parametrize(("runner", "is_it"), [("DataflowRunner", True), ("dataflow", True), ("FlinkRunner", False)])
def test_dataflow_is_known_by_all_its_names(runner: str, is_it: bool) -> None:
    assert is_dataflow([f"--runner={runner}"]) is is_it
    assert not is_dataflow([])


@pytest.mark.parametrize(
    ("arguments", "slots"),
    [([], 0), (["--parallelism=4"], 4), (["--parallelism", "4", "--parallelism=6"], 6), (["--parallelism=-1"], 0)],
)
def test_the_slots_of_a_job_are_its_parallelism(arguments: list[str], slots: int) -> None:
    assert count_slots(arguments) == slots


def test_keys_of_stores_are_left_out_in_both_spellings() -> None:
    given = ["--runner=X", "--s3_secret_access_key=a", "--s3_access_key_id", "b", "--s3_region_name", "c", "--no_auth"]
    assert without_store_keys(given) == ["--runner=X", "--s3_region_name", "c", "--no_auth"]
    assert without_store_keys(["--s3_session_token", "--no_auth"]) == ["--no_auth"]
