import pytest

from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.selection import SELECTIONS, default_selection, explain_selection
from oi_tfrecord.settings.yaml_file import read_config


@pytest.mark.parametrize(
    ("split", "task", "selection"),
    [
        ("train", "detection", "boxed"),
        ("validation", "detection", "labelled"),
        ("test", "detection", "labelled"),
        ("mine", "detection", "boxed"),
        ("train", "classification", "labelled"),
    ],
)
def test_what_the_split_is_for_decides_by_default(split: str, task: str, selection: str) -> None:
    assert default_selection(split, task) == selection
    config = ConvertConfig(split=split, task=task)
    assert config.selection == config.shaping()["select"] == selection


@pytest.mark.parametrize("name", ["v2", "v3", "v4", "v5", "v6", "v7", "sample", "challenge2019"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_shipped_configurations_say_the_same_of_each_split(name: str, split: str) -> None:
    assert read_config(name, {"split": split}).select == default_selection(split, "detection")
    assert read_config(name, {"split": split, "select": "all"}).selection == "all"


def test_the_reason_names_the_selection() -> None:
    assert [explain_selection(selection).split(":")[0] for selection in SELECTIONS] == list(SELECTIONS)
