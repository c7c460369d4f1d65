import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.notebook import start_in_thread
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.support.few_records import boxes, draw_jpeg, image, make_example, write_shard


@pytest.fixture
def records(tmp_path: pathlib.Path) -> RecordDataset:
    drawn = boxes((0.25, 0.25, 0.75, 0.75), mids=("/m/a",))
    plain = boxes(mids=())
    examples = [
        make_example(**image(200, 100, draw_jpeg(200, 100), str(n)), **kind) for n, kind in enumerate((plain, drawn))
    ]
    write_shard(tmp_path / "train.tfrecord-00000-of-00001", [*examples, make_example(**image(1, 1, b"no image"))])
    (tmp_path / "label_map.pbtxt").write_text(format_pbtxt(LabelMap((LabelMapItem(1, "/m/a", "Apple"),))))
    return RecordDataset(str(tmp_path), "train")


def test_a_notebook_shows_a_record_with_its_boxes(records: RecordDataset) -> None:
    shown = records.show(1)
    assert repr(shown) == "<record train 1, image 1, 1 boxes: Apple>"
    pixels = np.asarray(Image.open(io.BytesIO(shown._repr_png_())))
    plain = np.asarray(Image.open(io.BytesIO(records.show(0).png)))
    assert pixels.shape == plain.shape == (100, 200, 3)
    changed = np.abs(pixels.astype(int) - plain).sum(2) > 30
    # A line of the box, and its middle.
    assert changed[50, 50]
    assert not changed[50, 100]
    assert not changed[90, 100]


def test_records_are_numbered_as_by_the_dataset(records: RecordDataset) -> None:
    assert repr(records.show(-2)) == repr(records.show(1))
    with pytest.raises(IndexError):
        records.show(3)


def test_an_image_that_does_not_decode_is_named(records: RecordDataset) -> None:
    with pytest.raises(InputError, match="train 2"):
        records.show(2)


def test_a_server_in_a_thread_gives_its_address_or_its_error() -> None:
    assert start_in_thread(lambda on_start: on_start("http://127.0.0.1:1/")) == "http://127.0.0.1:1/"

    def fail(on_start: object) -> None:
        raise ConfigError("port", "8000 cannot be had")

    with pytest.raises(ConfigError, match="8000"):
        start_in_thread(fail)
