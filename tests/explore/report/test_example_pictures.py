import base64
import io
import pathlib

import numpy as np
from PIL import Image

from oi_tfrecord.explore.report.example_pictures import (
    MOST_CLASSES,
    PICTURE_SIDE,
    choose_wanted,
    cut_pictures,
    find_pictures,
)
from oi_tfrecord.records.example_reader import parse_example
from tests.support.few_records import boxes, draw_jpeg, floats, image, make_example, texts, write_shard


def halves() -> bytes:
    """Returns a JPEG whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", (400, 200), (200, 0, 0))
    picture.paste((0, 0, 200), (200, 0, 400, 200))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95)
    return out.getvalue()


def decoded(source: str) -> Image.Image:
    kind, _, data = source.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_picture_shows_the_largest_box_of_its_class() -> None:
    # (ymin, xmin, ymax, xmax)
    corners = ((0, 0, 0.1, 0.1), (0.2, 0.6, 0.8, 0.9), (0, 0, 0, 1))
    record = make_example(**image(400, 200, halves(), "7"), **boxes(*corners, mids=("/m/a", "/m/a", "/m/b")))
    [(mid, picture)] = cut_pictures(parse_example(record), frozenset({"/m/a", "/m/b"}), {})
    assert (mid, picture["image_id"]) == ("/m/a", "7")
    shown = decoded(picture["source"])
    assert max(shown.size) == PICTURE_SIDE
    # 0.3 + 2 x 0.045 of 400 pixels wide, 0.6 + 2 x 0.09 of 200 pixels high.
    assert abs(shown.width / shown.height - 156 / 156) < 0.05
    red, _, blue = np.asarray(shown.convert("RGB")).mean((0, 1)).tolist()
    assert blue > 150 > 50 > red


def test_records_of_classification_show_whole_images_of_their_positive_labels() -> None:
    labels = {"class__text": texts("/m/a", "/m/b"), "class__confidence": floats(1, 0)}
    found = dict(
        cut_pictures(
            parse_example(make_example(**image(400, 200, halves()), **labels)), frozenset({"/m/a", "/m/b"}), {}
        )
    )
    assert {mid: decoded(picture["source"]).size for mid, picture in found.items()} == {"/m/a": (112, 56)}


def test_boxes_with_any_values_and_broken_images_have_no_picture_or_a_small_one() -> None:
    wild = boxes((-1e9, -1e9, 1e9, 1e9), (2, 2, 3, 3), mids=("/m/a", "/m/b"))
    found = dict(
        cut_pictures(parse_example(make_example(**image(400, 200, halves()), **wild)), frozenset({"/m/a", "/m/b"}), {})
    )
    assert set(found) == {"/m/a", "/m/b"}
    broken = make_example(**image(400, 200, b"no image"), **boxes((0, 0, 1, 1), mids=("/m/a",)))
    assert list(cut_pictures(parse_example(broken), frozenset({"/m/a"}), {})) == []


def test_pictures_are_taken_from_the_first_records_and_no_further_shard_is_read(tmp_path: pathlib.Path) -> None:
    def record(name: str) -> bytes:
        return make_example(**image(64, 48, draw_jpeg(64, 48), name), **boxes((0, 0, 1, 1), mids=("/m/a",)))

    write_shard(tmp_path / "one", [record("1"), record("2")])
    write_shard(tmp_path / "two", [record("3"), record("4")])
    shards = [str(tmp_path / name) for name in ("one", "two", "missing")]
    found = find_pictures(shards, {"/m/a": 3, "/m/none": 0}, {})
    assert [picture["image_id"] for picture in found["/m/a"]] == ["1", "2", "3"]


def test_the_most_frequent_classes_have_pictures() -> None:
    mids = [f"/m/{number:04}" for number in range(MOST_CLASSES + 5)]
    images = [number + 1 for number in range(MOST_CLASSES + 5)]
    wanted = choose_wanted({"mid": mids, "images": images, "positive": images[::-1]}, 3)
    assert len(wanted) == MOST_CLASSES
    assert mids[0] not in wanted
    assert set(wanted.values()) == {3}
    assert choose_wanted({"mid": ["/m/a"], "images": [0], "positive": [2]}, 5) == {"/m/a": 2}
