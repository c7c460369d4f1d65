import dataclasses
import pathlib
import shlex

import pytest

from oi_tfrecord.cli.commands import load_command
from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.cli.main import main
from oi_tfrecord.engine.beam_flags import is_dataflow
from oi_tfrecord.settings.check_complete import check_complete
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.prices import NO_PRICES, Prices

FIELDS = {field.name: field for field in dataclasses.fields(ConvertConfig)}
GIVEN = {bool: ("", True), int: ("=7", 7), float: ("=0.25", 0.25), tuple: ("=a,b", ("a", "b")), str: ("=x", "x")}
SPECIAL = {
    "driver": ("=boxes", "boxes"),
    "select": ("=labelled", "labelled"),
    "task": ("=classification", "classification"),
    "hierarchy_use": ("=label_map", "label_map"),
    "label_order": ("=mid", "mid"),
    "image_mode": ("=verify", "verify"),
    "images": ("=/a/{image_id}.jpg", "/a/{image_id}.jpg"),
    "mirror": ("=https://m.example.org", "https://m.example.org"),
    "image_urls": ("=thumbnail", "thumbnail"),
    "mask_files": ("=/a/{mask_path}", "/a/{mask_path}"),
    "boxes_without_mask": ("=empty", "empty"),
    "exclude_flags": ("=occluded,inside", ("occluded", "inside")),
    "extra_keys": ("=attribution", ("attribution",)),
    "max_rejects": ("=5%", "5%"),
    "missing_images": ("=skip", "skip"),
    "fetch_timeout": ("=7", 7.0),
    "chroma": ("=4:2:0", "4:2:0"),
    "rotation": ("=apply", "apply"),
    "source_id": ("=numeric", "numeric"),
    "image_id_format": ("=any", "any"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_a_flag(name: str) -> None:
    text, value = SPECIAL.get(name) or GIVEN[type(FIELDS[name].default)]
    config = parse_convert([f"--{name}{text}"]).config
    assert getattr(config, name) == value
    assert value != FIELDS[name].default
    assert config == dataclasses.replace(ConvertConfig(), **{name: value})


def test_a_flag_wins_over_the_configuration_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("split: train\nnum_shards: 9\nboxes: [a.csv, b.csv]\noverwrite: true\n")
    command = parse_convert([f"--config={path}", "--num_shards=3", "--nooverwrite"])
    assert command.config == ConvertConfig(split="train", num_shards=3, boxes=("a.csv", "b.csv"))


def test_values_may_follow_after_a_space_among_flags_of_beam() -> None:
    command = parse_convert(
        ["--split", "train", "--temp_location", "gs://bucket/tmp", "--num_shards", "4", "--region=r", "--workers", "2"]
    )
    assert command.config == ConvertConfig(split="train", num_shards=4)
    assert command.workers == 2
    assert command.beam_arguments == ("--temp_location", "gs://bucket/tmp", "--region=r")


def test_flags_of_beam_pass() -> None:
    cloud = [
        "--runner=FlinkRunner", "--project=p", "--region=r", "--temp_location=gs://bucket/tmp", "--streaming",
        "--setup_file=./setup.py", "--max_num_workers=100", "--dataflow_service_options=a", "--no_auth",
        "--s3_region_name=x",
    ]  # fmt: skip
    assert parse_convert(["--split=train", *cloud]).beam_arguments == tuple(cloud)


def test_prices_are_one_flag() -> None:
    assert parse_convert(["--prices=worker_hour=1,writes=0.05"]).prices == Prices(worker_hour=1.0, writes=0.05)
    assert parse_convert(["--split=train"]).prices == NO_PRICES


def test_dry_run_is_our_flag_though_beam_has_one_of_that_name() -> None:
    command = parse_convert(["--dry_run"])
    assert command.config.dry_run
    assert command.beam_arguments == ()


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [
        ("--num_shard=4", "--num_shards"),
        ("--output=out", "--output_dir"),
        ("--label_maps=x", "--label_map"),
        ("--temp_locaton=gs://bucket/tmp", "--temp_location"),
        ("--runer=DataflowRunner", "--runner"),
        ("--overwrit", "--overwrite"),
    ],
)
def test_an_unknown_flag_is_an_error_that_names_the_nearest(
    argument: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "--split=train", argument, "--num_shards=3"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {argument.lstrip('-').partition('=')[0]}: ")
    assert f"did you mean '{nearest}'?" in printed
    assert printed.count("\n") == 1


def test_an_unknown_configuration_key_is_an_error_that_names_the_nearest(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("num_shard: 3\n")
    assert main(["convert", f"--config={path}"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: num_shard: ")
    assert str(path) in printed
    assert "did you mean 'num_shards'?" in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--num_shards=many"], "num_shards"),
        (["--num_shards=-1"], "num_shards"),
        (["--workers=-1"], "workers"),
        (["--prices=disk=1"], "prices"),
        (["--driver=box"], "driver"),
        (["--sample=2"], "sample"),
        (["--max_rejects=1.5"], "max_rejects"),
        (["--images=/a/{id}.jpg"], "images"),
        (["--config=v33"], "did you mean 'v3'"),
        (["train"], "'train'"),
        (["--split=train", "stray", "--num_shards=3"], "'stray'"),
        ([], "split"),
        (["--split"], "split"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *arguments]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert named in printed
    assert printed.count("\n") == 1


def test_the_examples_are_complete_conversions_here_and_in_the_cloud() -> None:
    words = [shlex.split(example.command)[2:] for example in load_command("convert").examples]
    conversions = [parse_convert(flags) for flags in words]
    assert [is_dataflow(conversion.beam_arguments) for conversion in conversions] == [False, True]
    for conversion in conversions:
        check_complete(conversion.config)
