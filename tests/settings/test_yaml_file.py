import pathlib

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.yaml_file import find_config, load_config

CONFIGS = sorted((pathlib.Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
BY_TASK = """
class_list: boxable.txt
select: boxed
classification:
  class_list: trainable.txt
  select: labelled
"""


def test_keys_for_classification_count_for_that_task_only() -> None:
    detection = load_config(BY_TASK, "my.yaml", {})
    assert (detection.class_list, detection.select) == (("boxable.txt",), "boxed")
    classification = load_config(BY_TASK, "my.yaml", {"task": "classification", "select": "all"})
    assert (classification.class_list, classification.select) == (("trainable.txt",), "all")
    assert load_config(BY_TASK + "task: classification", "my.yaml", {}).select == "labelled"
    assert load_config(BY_TASK + "task: classification", "my.yaml", {"task": "detection"}).select == "boxed"


@pytest.mark.parametrize(
    ("text", "field"), [("classification: labels", "classification"), ("classification: {clas_list: a}", "clas_list")]
)
def test_keys_for_classification_are_checked_for_every_task(text: str, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(text, "my.yaml", {})
    assert caught.value.field == field


def test_find_config_takes_a_path_or_a_shipped_name(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine.yaml").write_text("release: mine\n")
    assert find_config(str(tmp_path / "mine.yaml")) == tmp_path / "mine.yaml"
    for name in ("v3", "v3.yaml"):
        assert find_config(name).name == "v3.yaml"


def test_find_config_lists_the_shipped_configurations() -> None:
    with pytest.raises(ConfigError) as raised:
        find_config("v33")
    assert raised.value.field == "config"
    assert "did you mean 'v3'?" in raised.value.problem
    for path in CONFIGS:
        assert path.stem in raised.value.problem


@pytest.mark.parametrize("text", [b"release: caf\xe9", "release: é".encode("utf-16-le"), b"release: \0", "classes: [a"])
def test_text_that_is_no_yaml_is_one_line_of_error_with_the_file(text: str | bytes) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(text, "my.yaml", {})
    assert raised.value.field == "my.yaml"
    assert "\n" not in str(raised.value)


def test_a_file_is_read_as_utf8() -> None:
    assert load_config("release: é".encode(), "my.yaml", {}).release == "é"


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{a: " * 5000])
def test_deep_nesting_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: too many values are nested in each other"):
        load_config(text, "x.yaml", {})


def test_megabytes_are_no_configuration() -> None:
    with pytest.raises(ConfigError, match=r"big\.yaml: is longer than 1,048,576 bytes"):
        load_config(b"a" * (1 << 20) + b"a", "big.yaml", {})


def test_a_value_may_depend_on_the_split() -> None:
    text = "select: {train: boxed, test: all}\nnum_shards: 3\n"
    assert load_config(text, "my.yaml", {"split": "train"}).select == "boxed"
    assert load_config(text + "split: test\n", "my.yaml", {}).select == "all"
    assert load_config(text, "my.yaml", {"split": "mine"}).select == ""
    assert load_config(text, "my.yaml", {"split": "train", "select": "labelled"}).select == "labelled"
    with pytest.raises(ConfigError, match="did you mean 'labelled'"):
        load_config("select: {train: boxed, test: labeled}", "my.yaml", {"split": "train"})
