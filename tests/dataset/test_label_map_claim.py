import pathlib

import pytest

from oi_tfrecord.dataset.label_map_claim import claim_label_map
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

FIRST = LabelMap((LabelMapItem(1, "/m/a", "A"), LabelMapItem(2, "/m/b", "B")))
OTHER = LabelMap((LabelMapItem(1, "/m/b", "B"), LabelMapItem(2, "/m/a", "A")))


def begun(folder: pathlib.Path, split: str) -> None:
    WorkFolder.of(str(folder), split).create({})


def test_splits_with_one_label_map_may_be_written_at_the_same_time(tmp_path: pathlib.Path) -> None:
    for split in ("train", "validation"):
        begun(tmp_path, split)
        claim_label_map(str(tmp_path), split, FIRST)
    # A step of a pipeline may run again.
    claim_label_map(str(tmp_path), "train", FIRST)


def test_a_split_with_another_label_map_is_refused(tmp_path: pathlib.Path) -> None:
    for split in ("train", "validation"):
        begun(tmp_path, split)
    claim_label_map(str(tmp_path), "train", FIRST)
    with pytest.raises(InputError, match="differs from the label map of the split 'validation'") as error:
        claim_label_map(str(tmp_path), "validation", OTHER)
    assert ".oi_tfrecord-train" in error.value.path
