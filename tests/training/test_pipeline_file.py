import dataclasses
import json
import pathlib

import pytest

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.training.pipeline_file import PipelineChanges, fill_pipeline
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts
from oi_tfrecord.training.warnings import warn_of_pipeline
from tests.conftest import REPOSITORY, in_api
from tests.training.test_pipeline_parts import PARSE

SSD = (REPOSITORY / "examples" / "object_detection_api" / "ssd_mobilenet_v2_fpn.config").read_text(encoding="utf-8")
FASTER_RCNN = """\
# Users should configure the fine_tune_checkpoint field in the train config as well as
# the paths. Search for "PATH_TO_BE_CONFIGURED" to find the fields that should be configured.
model {
  faster_rcnn {
    num_classes: 90
    second_stage_box_predictor { mask_rcnn_box_predictor { use_dropout: false predict_instance_masks: true } }
    second_stage_post_processing { batch_non_max_suppression { max_total_detections: 900 } }
    future_field { depth: 3 }  # kept
  }
}
train_config: {
  batch_size: 1;
  num_steps: 200000
  optimizer { momentum_optimizer: { learning_rate: { cosine_decay_learning_rate { total_steps: 200000 } } } }
  fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED/ckpt-0"
  from_detection_checkpoint: true
}
train_input_reader: {
  label_map_path: "PATH_TO_BE_CONFIGURED/map"
  load_instance_masks: true mask_type: NUMERICAL_MASKS
  shuffle_buffer_size: 77
  external_input_reader { }
}
eval_config: { metrics_set: "a" metrics_set: "b" num_examples: 8000 max_evals: 10 }
eval_input_reader { tf_record_input_reader { input_path: ["PATH_TO_BE_CONFIGURED/x", "y"] } }
eval_input_reader { shuffle: true }
"""
CENTER_NET = """\
model { center_net { num_classes: 90 object_center_params { object_center_loss_weight: 1.0 } } }
train_config { num_steps: 9 }
"""
DEEPMAC = """\
# Train on TPU-128
model {
  center_net {
    num_classes: 90
    feature_extractor { type: 'hourglass_104' channel_means: [104.01362025, 114.03422265, 119.9165958 ] }
    # keypoint_estimation_task { task_name: "human_pose" }
    keypoint_label_map_path: "PATH_TO_BE_CONFIGURED"
    deepmac_mask_estimation { dim: 32 classification_loss { weighted_sigmoid {} } }
  }
}
train_config: {
  batch_size: 128;
  data_augmentation_options { random_horizontal_flip { keypoint_flip_permutation: 0 keypoint_flip_permutation: 2 } }
  fine_tune_checkpoint_version: V2
  fine_tune_checkpoint: "/cns/home/checkpoints/weights-1", fine_tune_checkpoint_type: "fine_tune"
}
train_input_reader {
  label_map_path: "/cns/home/label_map.txt"
  tf_record_input_reader { input_path: "/cns/home/a.record-00???-of-00100" input_path: "/cns/home/b.record" }
  sample_from_datasets_weights: [0.25, 0.75]
  load_instance_masks: true mask_type: PNG_MASKS num_keypoints: 17 load_multiclass_scores: true
}
eval_config {
  metrics_set: "coco_detection_metrics" metrics_set: "coco_mask_metrics"
  super_categories {
    key: "VOC"
    value: "person,bicycle,car,motorcycle,airplane,bus,train,boat,bird,cat,"
           "dog,horse,sheep,cow,bottle,chair,couch,potted plant,dining table,tv"
  }
  super_categories { key: "person" value: "person" }
  parameterized_metric { coco_keypoint_metrics { class_label: "person" } }
  keypoint_edge { start: 0 end: 1 }  # nose-left eye
  export_path: "/cns/home/export" include_metrics_per_category: true
}
eval_input_reader: [
  { label_map_path: "PATH_TO_BE_CONFIGURED/a" sample_1_of_n_examples: 10, num_keypoints: 17 },
  { label_map_path: "PATH_TO_BE_CONFIGURED/b" }
]
"""
CONTEXT_RCNN = """\
# Context R-CNN configuration for Snapshot Serengeti.
# Search for "PATH_TO_BE_CONFIGURED" to find the fields that should be
# configured.

model { faster_rcnn { num_classes: 48 context_config { max_num_context_features: 2000 } } }
train_input_reader { load_context_features: true input_type: TF_SEQUENCE_EXAMPLE }
eval_input_reader { load_context_features: true input_type: TF_SEQUENCE_EXAMPLE shuffle: false }
"""
CLASSES = LabelMap((LabelMapItem(1, "/m/a", "A", descendant_ids=(7,)), LabelMapItem(7, "/m/b", "B", (1,))))
TRAIN = SplitFacts("train", "/r/train.tfrecord-?????-of-00100", 100, 900, 250, 700, has_masks=True)
EVALUATION = SplitFacts("validation", "/r/validation.tfrecord-?????-of-00004", 4, 9, 120, 310, has_masks=True)
FACTS = TrainingFacts(TRAIN, EVALUATION, CLASSES, "/r/label_map.pbtxt", "/r/label_map.csv")
EXPANDED = dataclasses.replace(
    FACTS,
    train=dataclasses.replace(TRAIN, has_masks=False),
    evaluation=dataclasses.replace(EVALUATION, has_masks=False),
)
CHANGES = PipelineChanges("", "oid_V2_detection_metrics")


def parse(text: str) -> dict:
    return dict(json.loads(in_api("-c", PARSE, text=text)))


def test_a_file_of_the_model_zoo_is_written_whole() -> None:
    text = fill_pipeline(SSD, "ssd.config", FACTS, CHANGES)
    assert "PATH_TO_BE" not in text
    assert "fine_tune" not in text
    given, template = parse(text), parse(SSD)
    assert given["model"]["ssd"]["num_classes"] == 7
    limits = given["model"]["ssd"]["post_processing"]["batch_non_max_suppression"]
    assert (limits["max_detections_per_class"], limits["max_total_detections"]) == (250, 250)
    assert given["train_config"]["max_number_of_boxes"] == 250
    assert given["train_input_reader"] == {
        "label_map_path": "/r/label_map.pbtxt", "shuffle": True, "num_readers": 64, "max_number_of_boxes": 250,
        "load_instance_masks": True, "mask_type": "PNG_MASKS",
        "tf_record_input_reader": {"input_path": ["/r/train.tfrecord-?????-of-00100"]},
    }  # fmt: skip
    assert given["eval_input_reader"] == [{
        "label_map_path": "/r/label_map.pbtxt", "shuffle": False, "num_epochs": 1, "num_readers": 4,
        "max_number_of_boxes": 120, "load_instance_masks": True, "mask_type": "PNG_MASKS",
        "tf_record_input_reader": {"input_path": ["/r/validation.tfrecord-?????-of-00004"]},
    }]  # fmt: skip
    assert given["eval_config"]["metrics_set"] == ["oid_V2_detection_metrics"]
    assert given["model"]["ssd"]["anchor_generator"] == template["model"]["ssd"]["anchor_generator"]
    assert given["train_config"]["optimizer"] == template["train_config"]["optimizer"]


def test_comments_and_unknown_fields_stay_and_repeated_blocks_and_values_do_not() -> None:
    text = fill_pipeline(FASTER_RCNN, "f.config", FACTS, dataclasses.replace(CHANGES, steps=500, batch_size=4))
    assert "PATH_TO_BE" not in text
    assert "Users should" not in text
    assert "future_field { depth: 3 }  # kept" in text
    # The API knows no such field.
    given = parse(text.replace("future_field { depth: 3 }", ""))
    model = given["model"]["faster_rcnn"]
    limits = model["second_stage_post_processing"]["batch_non_max_suppression"]
    assert (limits["max_detections_per_class"], limits["max_total_detections"]) == (250, 900)
    # The API's own limit, 300, is enough.
    assert "first_stage_max_proposals" not in model
    config = given["train_config"]
    assert (config["batch_size"], config["num_steps"]) == (4, 500)
    [schedule] = config["optimizer"]["momentum_optimizer"]["learning_rate"].values()
    assert schedule == {"total_steps": 500, "warmup_steps": 50}
    assert config.keys() == {"batch_size", "num_steps", "optimizer"}
    reader = given["train_input_reader"]
    assert (reader["mask_type"], reader["shuffle_buffer_size"]) == ("PNG_MASKS", 77)
    assert "external_input_reader" not in reader
    assert given["eval_config"] == {
        "metrics_set": ["oid_V2_detection_metrics"], "num_examples": 9, "max_evals": 10, "batch_size": 1,
    }  # fmt: skip
    [evaluation] = given["eval_input_reader"]
    assert evaluation["tf_record_input_reader"]["input_path"] == ["/r/validation.tfrecord-?????-of-00004"]


def test_boxes_are_those_after_the_expansion_where_the_api_expands() -> None:
    without_masks = FASTER_RCNN.replace("future_field { depth: 3 }", "").replace("predict_instance_masks: true", "")
    given = parse(fill_pipeline(without_masks, "f.config", EXPANDED, CHANGES))
    for reader, most in ((given["train_input_reader"], 700), (given["eval_input_reader"][0], 310)):
        assert reader["expand_labels_hierarchy"] is True
        assert reader["max_number_of_boxes"] == most
    assert given["model"]["faster_rcnn"]["first_stage_max_proposals"] == 700
    expanding = fill_pipeline(SSD, "ssd.config", EXPANDED, CHANGES)
    # The API does not repeat masks, and these records have them.
    assert "expand_labels_hierarchy" not in fill_pipeline(expanding, "again.config", FACTS, CHANGES)


def test_blocks_that_lack_are_added() -> None:
    given = parse(fill_pipeline(CENTER_NET, "c.config", FACTS, CHANGES))
    assert given["model"]["center_net"]["object_center_params"]["max_box_predictions"] == 250
    assert given["train_input_reader"]["max_number_of_boxes"] == 250
    assert len(given["eval_input_reader"]) == 1


def test_what_a_template_says_of_its_own_records_and_classes_is_left_out() -> None:
    text = fill_pipeline(DEEPMAC, "d.config", FACTS, CHANGES)
    assert "/cns/" not in text
    assert "PATH_TO_BE" not in text
    given = parse(text)
    model = given["model"]["center_net"]
    assert "keypoint_label_map_path" not in model
    assert model["deepmac_mask_estimation"] == {"dim": 32, "classification_loss": {"weighted_sigmoid": {}}}
    # The API gathers the keypoints of the boxes that it keeps, and stops where there are none.
    assert given["train_input_reader"] == {
        "label_map_path": "/r/label_map.pbtxt", "shuffle": True, "num_readers": 64, "max_number_of_boxes": 250,
        "load_instance_masks": True, "mask_type": "PNG_MASKS",
        "tf_record_input_reader": {"input_path": ["/r/train.tfrecord-?????-of-00100"]},
    }  # fmt: skip
    [evaluation] = given["eval_input_reader"]
    assert evaluation.keys() == given["train_input_reader"].keys() | {"num_epochs"}
    assert given["eval_config"] == {
        "metrics_set": ["oid_V2_detection_metrics"], "include_metrics_per_category": True, "batch_size": 1,
    }  # fmt: skip


def test_a_context_rcnn_keeps_what_it_reads_beside_the_records() -> None:
    text = fill_pipeline(CONTEXT_RCNN, "c.config", EXPANDED, dataclasses.replace(CHANGES, model="context_rcnn"))
    # The end of the sentence on placeholders goes with the sentence.
    assert text.startswith("# Context R-CNN configuration for Snapshot Serengeti.\n\nmodel {")
    given = parse(text)
    assert given["model"]["faster_rcnn"]["context_config"] == {"max_num_context_features": 2000}
    for reader in (given["train_input_reader"], *given["eval_input_reader"]):
        assert reader["load_context_features"]
        assert "input_type" not in reader
    [warning] = warn_of_pipeline(text)
    assert "no context features" in warning
    assert not warn_of_pipeline(FASTER_RCNN)


def test_a_checkpoint_is_there_if_one_is_named() -> None:
    changes = dataclasses.replace(CHANGES, checkpoint='gs://b/"c"/ckpt-0')
    given = parse(fill_pipeline(SSD, "ssd.config", FACTS, changes))["train_config"]
    assert given["fine_tune_checkpoint"] == 'gs://b/"c"/ckpt-0'
    assert (given["fine_tune_checkpoint_type"], given["fine_tune_checkpoint_version"]) == ("classification", "V2")
    given = parse(fill_pipeline(CENTER_NET, "c.config", FACTS, changes))["train_config"]
    assert (given["fine_tune_checkpoint_type"], given["fine_tune_checkpoint_version"]) == ("detection", "V2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model { ssd {", "Expected"),
        ("train_config { }\n", "no model of a kind that is known"),
        ("model { experimental_model { } }\n", "no model of a kind that is known"),
        ("model { center_net { keypoint_estimation_task { } } }\n", "keypoint_estimation_task"),
        ("model { center_net { temporal_offset_task { } } }\n", "temporal_offset_task"),
        ("model { ssd { box_coder { keypoint_box_coder { } } } }\n", "keypoint_box_coder"),
        ('model { ssd { } }\neval_config {\n  new_path: "PATH_TO_BE_CONFIGURED"\n}\n', "no value for `new_path"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"my\.config.*{problem}"):
        fill_pipeline(text, "my.config", FACTS, CHANGES)


def test_a_model_that_predicts_masks_needs_them() -> None:
    without = dataclasses.replace(FACTS, evaluation=dataclasses.replace(EVALUATION, has_masks=False))
    with pytest.raises(InputError, match=r"'validation' have none.*--extra_keys=masks"):
        fill_pipeline(FASTER_RCNN, "f.config", without, CHANGES)


def test_a_file_of_another_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave out --model"):
        fill_pipeline(SSD, "ssd.config", FACTS, dataclasses.replace(CHANGES, model="center_net"))


def test_line_ends_of_windows_stay(tmp_path: pathlib.Path) -> None:
    given = parse(fill_pipeline(SSD.replace("\n", "\r\n"), "ssd.config", FACTS, CHANGES))
    assert given == parse(fill_pipeline(SSD, "ssd.config", FACTS, CHANGES))
