import dataclasses
import json
import os
import subprocess
from typing import Any

import pytest
import yaml

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.training.garden_experiment import MODELS, GardenChoices, format_experiment
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts
from tests.support.optional import peer_python

# What official.vision.train does with its flags before it trains.
PARSE = """
import json, sys
from absl import flags
from official.common import flags as tfm_flags
from official.core import train_utils
from official.vision import registry_imports
tfm_flags.define_flags()
given = flags.FLAGS
given(["train", "--experiment=", "--mode=train_and_eval", "--model_dir=m"])
parsed = {}
for experiment, path in zip(sys.argv[1::2], sys.argv[2::2]):
    given.experiment, given.config_file = experiment, [path]
    parsed[experiment] = train_utils.parse_configuration(given).as_dict()
print(json.dumps(parsed))
"""
CLASSES = LabelMap((LabelMapItem(1, "/m/a", "A"), LabelMapItem(7, "/m/b", "B")))
TRAIN = SplitFacts("train", "/r/train.tfrecord-?????-of-00100", 100, 900, 250, 700, has_masks=True, has_labels=True)
EVALUATION = SplitFacts(
    "validation", "/r/validation.tfrecord-?????-of-00004", 4, 9, 120, 310,
    has_masks=True, has_labels=True, has_present_labels=True, numeric_ids=True,
)  # fmt: skip
FACTS = TrainingFacts(TRAIN, EVALUATION, CLASSES, "/r/label_map.pbtxt", "/r/label_map.csv")


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Model of each experiment to what Model Garden parses."""
    python = peer_python("garden")
    folder = tmp_path_factory.mktemp("experiments")
    arguments = []
    for name, model in MODELS.items():
        path = folder / f"{name}.yaml"
        path.write_text(format_experiment(FACTS, GardenChoices(name, batch_size=4), "records"))
        arguments += [model.experiment, str(path)]
    done = subprocess.run(
        [str(python), "-c", PARSE, *arguments], check=False, capture_output=True, text=True, cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    given = json.loads(done.stdout.splitlines()[-1])
    return {name: given[model.experiment] for name, model in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_model_garden_parses_every_experiment_and_fetches_no_checkpoint(name: str, parsed: dict[str, Any]) -> None:
    task, trainer = parsed[name]["task"], parsed[name]["trainer"]
    assert task["model"]["num_classes"] == 8
    assert not task["init_checkpoint"]
    assert not task.get("annotation_file")
    assert (task["train_data"]["input_path"], task["train_data"]["global_batch_size"]) == (TRAIN.pattern, 4)
    assert (task["validation_data"]["input_path"], task["validation_data"]["drop_remainder"]) == (
        EVALUATION.pattern,
        False,
    )
    # 12 epochs of 900 images, and the last batch of 9 images is not full.
    assert (trainer["train_steps"], trainer["validation_steps"]) == (12 * 225, 3)
    assert parsed[name]["runtime"]["distribution_strategy"] == "one_device"


@pytest.mark.parametrize("name", ["retinanet", "maskrcnn"])
def test_all_boxes_of_the_fullest_image_are_learned_and_counted(name: str, parsed: dict[str, Any]) -> None:
    task = parsed[name]["task"]
    for data, most, regenerated in (("train_data", 250, True), ("validation_data", 120, False)):
        assert task[data]["parser"]["max_num_instances"] == most
        assert task[data]["decoder"]["type"] == "label_map_decoder"
        decoder = task[data]["decoder"]["label_map_decoder"]
        assert (decoder["label_map"], decoder["regenerate_source_id"]) == ("/r/label_map.csv", regenerated)
    assert task["model"]["detection_generator"]["max_num_detections"] == 250
    assert task.get("max_num_eval_detections", 250) == 250


def test_an_image_has_several_classes(parsed: dict[str, Any]) -> None:
    for data, key in (("train_data", "image/class/label"), ("validation_data", "image/present_class/label")):
        given = parsed["classification"]["task"][data]
        assert (given["is_multilabel"], given["label_field_key"]) == (True, key)


def test_choices_take_the_place_of_defaults() -> None:
    choices = GardenChoices("retinanet", batch_size=2, steps=50, image_size=256, gpus=2, checkpoint="gs://b/ckpt")
    given = yaml.safe_load(format_experiment(FACTS, choices, "records"))
    assert given["runtime"]["distribution_strategy"] == "mirrored"
    assert given["runtime"]["num_gpus"] == 2
    assert given["task"]["init_checkpoint"] == "gs://b/ckpt"
    assert given["task"]["model"]["input_size"] == [256, 256, 3]
    assert (given["trainer"]["train_steps"], given["trainer"]["validation_steps"]) == (50, 5)
    with pytest.raises(ConfigError, match="image_size: 200 is no multiple of 128"):
        format_experiment(FACTS, GardenChoices("retinanet", image_size=200), "records")


@pytest.mark.parametrize(
    ("model", "lacking", "problem"),
    [
        ("retinanet", {"has_boxes": False}, "have no boxes"),
        ("maskrcnn", {"has_masks": False}, "have no masks.*--extra_keys=masks"),
        ("classification", {"has_labels": False}, "have no image labels"),
    ],
)
def test_a_model_that_the_records_do_not_suit_is_refused(model: str, lacking: dict[str, Any], problem: str) -> None:
    facts = dataclasses.replace(FACTS, evaluation=dataclasses.replace(EVALUATION, **lacking))
    with pytest.raises(InputError, match=problem):
        format_experiment(facts, GardenChoices(model), "records")
