import dataclasses

from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.training.options import TrainingConfigOptions
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts
from oi_tfrecord.training.warnings import warn_of_records

CLASSES = LabelMap((LabelMapItem(1, "/m/a", "A"),))
TRAIN = SplitFacts("train", "/r/train.tfrecord-*", 4, 900, 250, 700, has_labels=True, absent_labels=1200)
EVALUATION = SplitFacts("validation", "/r/validation.tfrecord-*", 4, 9, 120, 310, has_labels=True)
FACTS = TrainingFacts(TRAIN, EVALUATION, CLASSES, "/r/label_map.pbtxt", "/r/label_map.csv")
GARDEN = TrainingConfigOptions("r", "classification", framework="garden")


def test_labels_of_absent_classes_are_warned_of_where_model_garden_takes_them_as_present() -> None:
    [warning] = warn_of_records(FACTS, GARDEN)
    assert warning.startswith("1,200 labels of train say that a class is not there")
    assert "--extra_keys=present_labels" in warning
    apart = dataclasses.replace(FACTS, train=dataclasses.replace(TRAIN, has_present_labels=True))
    assert not warn_of_records(apart, GARDEN)
    assert not warn_of_records(FACTS, dataclasses.replace(GARDEN, model="retinanet"))
    assert not warn_of_records(FACTS, TrainingConfigOptions("r", "ssd"))
