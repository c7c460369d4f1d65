import pathlib

import pytest

from oi_tfrecord.dataset.label_map import load_label_map, read_label_map
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt


def test_the_label_map_is_read(tmp_path: pathlib.Path) -> None:
    label_map = LabelMap((LabelMapItem(1, "/m/a", "Apple"),))
    assert read_label_map(str(tmp_path)) is None
    (tmp_path / "label_map.pbtxt").write_text(format_pbtxt(label_map))
    assert read_label_map(str(tmp_path)) == label_map


def test_a_label_map_that_is_no_text_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "label_map.pbtxt"
    path.write_bytes(b"\xff")
    for read in (lambda: read_label_map(str(tmp_path)), lambda: load_label_map(str(path))):
        with pytest.raises(InputError, match="line 1: the text is not UTF-8") as raised:
            read()
        assert raised.value.path == str(path)
