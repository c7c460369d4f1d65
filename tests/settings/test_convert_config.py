import dataclasses
import pathlib
from typing import Any

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import parse_max_rejects
from oi_tfrecord.settings.check_complete import check_complete
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.yaml_file import load_config

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.yaml"))

COMPLETE: dict[str, Any] = {
    "split": "train",
    "data_dir": "/data",
    "output_dir": "/out",
    "images": "/images/{image_id}.jpg",
    "class_descriptions": ("classes.csv",),
    "metadata": ("images.csv",),
}


def error_of(text: str = "", **overrides: Any) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        load_config(text, "my.yaml", overrides)
    return raised.value


def test_there_are_shipped_configs() -> None:
    assert "v3" in [path.stem for path in CONFIGS]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_config_loads_and_needs_only_folders_and_split(path: pathlib.Path) -> None:
    needed = {name: COMPLETE[name] for name in ("split", "data_dir", "output_dir", "images")}
    if "extra_keys: [masks]" in path.read_text(encoding="utf-8"):
        needed["mask_files"] = "masks/{mask_path}"
    config = load_config(path.read_text(encoding="utf-8"), str(path), needed)
    check_complete(config)
    assert config.release
    for field in ("metadata", "boxes", "human_labels", "machine_labels", "class_descriptions", "class_list"):
        names = getattr(config, field)
        assert len(set(names)) == len(names), f"{field} names a file twice"


def test_defaults_are_valid_and_of_their_type() -> None:
    assert load_config("", "none", {}) == ConvertConfig()
    for field in dataclasses.fields(ConvertConfig):
        assert field.metadata["help"], field.name
        assert load_config("", "none", {field.name: field.default}) == ConvertConfig()


def test_a_file_gives_values() -> None:
    text = "boxes: [a.csv, 'b/{split}.csv']\nmetadata: one.csv\nnum_shards: 7\noverwrite: true\nselect: all\n"
    config = load_config(text, "my.yaml", {})
    assert config.boxes == ("a.csv", "b/{split}.csv")
    assert config.metadata == ("one.csv",)
    assert (config.num_shards, config.overwrite, config.select) == (7, True, "all")


def test_flags_win_over_the_file() -> None:
    text = "boxes: [a.csv, b.csv]\nnum_shards: 7\nselect: all\noverwrite: true\n"
    overrides = {"boxes": ["c.csv"], "num_shards": 0, "overwrite": False}
    config = load_config(text, "my.yaml", overrides)
    assert config == ConvertConfig(boxes=("c.csv",), num_shards=0, select="all", overwrite=False)


def test_a_bad_value_in_the_file_is_an_error_even_if_a_flag_replaces_the_value() -> None:
    assert error_of("num_shards: many", num_shards=3).field == "num_shards"


@pytest.mark.parametrize(
    ("key", "near"), [("num_shard", "num_shards"), ("class_description", "class_descriptions"), ("Boxes", "boxes")]
)
def test_an_unknown_key_names_the_nearest(key: str, near: str) -> None:
    error = error_of(f"{key}: 1")
    assert error.field == key
    assert f"'{near}'" in error.problem
    assert "my.yaml" in error.problem


def test_an_unknown_key_that_is_near_no_key_names_none() -> None:
    error = error_of("zzzz: 1")
    assert error.field == "zzzz"
    assert "did you mean" not in error.problem


@pytest.mark.parametrize("text", ["1: 2", "null: 2", "[a]: 2"])
def test_a_key_that_is_no_text_is_an_error(text: str) -> None:
    error_of(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("num_shards: '7'", "num_shards"),
        ("num_shards: 7.0", "num_shards"),
        ("num_shards: true", "num_shards"),
        ("num_shards:", "num_shards"),
        ("sample: half", "sample"),
        ("sample: true", "sample"),
        ("sample:", "sample"),
        ("overwrite: 1", "overwrite"),
        ("overwrite: 'true'", "overwrite"),
        ("boxes: 1", "boxes"),
        ("boxes: [a, 1]", "boxes"),
        ("boxes: {a: b}", "boxes"),
        ("boxes:", "boxes"),
        ("split: [train]", "split"),
        ("split: no", "split"),  # YAML reads `no` as false
        ("split:", "split"),
        ("data_dir: {a: b}", "data_dir"),
    ],
)
def test_value_of_a_wrong_type_names_its_field(text: str, field: str) -> None:
    assert error_of(text).field == field


@pytest.mark.parametrize("text", ["a: [", "\tboxes: a", "- a\n- b", "just text", "7"])
def test_text_that_holds_no_keys_names_the_file(text: str) -> None:
    assert error_of(text).field == "my.yaml"


@pytest.mark.parametrize(
    ("field", "value", "near"),
    [
        ("driver", "box", "boxes"),
        ("driver", "machine_labels", "human_labels"),
        ("select", "labeled", "labelled"),
        ("label_order", "frequence", "frequency"),
        ("image_mode", "verifi", "verify"),
        ("extra_keys", ["attribution", "box_sources"], "box_source"),
        ("exclude_flags", ["groupof"], "group_of"),
        ("image_urls", "thumbnails", "thumbnail"),
    ],
)
def test_bad_choice_names_the_choices_and_the_nearest(field: str, value: Any, near: str) -> None:
    error = error_of(**{field: value})
    assert error.field == field
    assert f"did you mean '{near}'?" in error.problem


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        # A shard number has five digits, so there can be 100,000 of them.
        ("num_shards", (0, 1, 100_000), (-1, 100_001)),
        ("csv_block_mb", (1, 1024), (0, -1, 1025)),
        ("read_threads", (0, 1024), (-1, 1025)),
        # An Example is a protocol buffer message, which may not reach 2 GiB.
        ("max_image_bytes", (1, (2 << 30) - (1 << 20)), (0, 2 << 30)),
        ("max_image_pixels", (1, 1 << 40), (0, -5)),
        ("max_images", (0, 1), (-1,)),
        ("fetch_connections", (1, 64), (0, -1)),
        ("fetch_per_host", (1, 64), (0, -1)),
        ("fetch_attempts", (1, 9), (0, -1)),
        ("fetch_timeout", (1, 1.5), (0, -1)),
        # Fractions: an interval that holds its ends, but no sample is empty.
        ("min_confidence", (0, 0.5, 1), (-0.1, 1.1, 2)),
        ("min_box_side", (0, 0.5, 1), (-0.1, 1.1)),
        ("sample", (0.001, 1), (0, -0.5, 1.001)),
    ],
)
def test_a_number_outside_of_its_range_is_an_error(field: str, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    for value in good:
        assert getattr(load_config("", "none", {field: value}), field) == value
    for value in bad:
        given: dict[str, Any] = {field: value}
        error = error_of(**given)
        assert error.field == field
        assert str(type(getattr(ConvertConfig, field))(value)) in error.problem


def test_images_must_name_the_image() -> None:
    assert error_of(images="/images/{split}/x.jpg").field == "images"
    assert load_config("", "none", {"images": "/images/{image_id}.jpg"}).images == "/images/{image_id}.jpg"


@pytest.mark.parametrize("split", ["a/b", "..", "a b", "train\n", "{split}", "*"])
def test_split_must_suit_a_file_name(split: str) -> None:
    assert error_of(split=split).field == "split"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", (0.0, False)),
        ("100", (100.0, False)),
        ("0%", (0.0, True)),
        ("1%", (1.0, True)),
        ("0.5%", (0.5, True)),
        ("100%", (100.0, True)),
        (" 2% ", (2.0, True)),
    ],
)
def test_max_rejects_is_a_count_or_a_percentage(text: str, limit: tuple[float, bool]) -> None:
    assert parse_max_rejects(text) == limit
    assert load_config("", "none", {"max_rejects": text}).max_rejects == text


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", "101%", "100.1%", "many", "1 %", "1%%", "nan", "inf%", "1e3"])
def test_a_bad_max_rejects_names_the_field(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_max_rejects(text)
    assert raised.value.field == "max_rejects"
    assert error_of(max_rejects=text).field == "max_rejects"


def test_max_rejects_may_be_a_number_in_the_file() -> None:
    assert parse_max_rejects(load_config("max_rejects: 100", "my.yaml", {}).max_rejects) == (100.0, False)


def test_the_image_cache_is_local() -> None:
    assert error_of(image_cache="gs://bucket/cache").field == "image_cache"


def test_shaping_leaves_out_options_that_do_not_change_the_bytes() -> None:
    moved = COMPLETE | {"data_dir": "/moved", "output_dir": "/elsewhere"}
    same = ConvertConfig(**moved, max_rejects="5%", read_threads=3, overwrite=True)
    assert same.shaping() == ConvertConfig(**COMPLETE).shaping()
    for change in ({"select": "all"}, {"num_shards": 3}, {"split": "test"}, {"extra_keys": ("inside",)}):
        assert ConvertConfig(**COMPLETE | change).shaping() != ConvertConfig(**COMPLETE).shaping()
