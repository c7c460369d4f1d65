"""Random records for evaluation (boxes, groups, verified labels, masks), and random detections of their objects."""

import csv
import dataclasses
import io
import json
import pathlib
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image

from oi_tfrecord.images.mask_rle import encode_mask, format_challenge_text
from oi_tfrecord.records.example_writer import bytes_feature, int64_feature
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from tests.support.few_records import boxes, floats, image, make_example, texts, write_shard

HIERARCHY = {
    "LabelName": "/m/all",
    "Subcategory": [
        {
            "LabelName": "/m/animal",
            "Subcategory": [
                {"LabelName": "/m/cat"},
                {"LabelName": "/m/dog", "Subcategory": [{"LabelName": "/m/poodle"}, {"LabelName": "/m/beagle"}]},
            ],
        },
        {"LabelName": "/m/pet", "Subcategory": [{"LabelName": "/m/cat"}, {"LabelName": "/m/poodle"}]},
        {"LabelName": "/m/tree"},
        {"LabelName": "/m/car"},
    ],
}
MIDS = ("/m/animal", "/m/cat", "/m/dog", "/m/poodle", "/m/beagle", "/m/pet", "/m/tree", "/m/car")

Box = tuple[float, float, float, float]
"""(ymin, xmin, ymax, xmax), normalised."""


@dataclasses.dataclass(frozen=True)
class RandomImage:
    """An image: `boxes` are (class, box, whether a group, mask or None) each, `labels` (class, confidence)."""

    image_id: str
    width: int
    height: int
    boxes: tuple[tuple[str, Box, bool, np.ndarray | None], ...]
    labels: tuple[tuple[str, float], ...]


def make_images(seed: int, count: int, with_masks: bool) -> list[RandomImage]:
    """Returns random images in an order of their own."""
    chosen = random.Random(seed)
    made = []
    for _ in range(count):
        width, height = chosen.randint(20, 60), chosen.randint(20, 60)
        found = []
        for _ in range(chosen.choice([0, 1, 3, 8])):
            # Few classes make several objects of a class in an image likely.
            mid, box = chosen.choice(MIDS[: chosen.choice([2, 8])]), random_box(chosen)
            mask = draw_ellipse(box, width, height) if with_masks and chosen.random() < 0.7 else None
            found.append((mid, box, chosen.random() < 0.25, mask))
        labelled = chosen.sample(MIDS, chosen.randint(0 if found else 1, 4))
        labels = tuple((mid, chosen.choice([0.0, 1.0])) for mid in labelled)
        made.append(RandomImage(f"a{chosen.getrandbits(60):015x}", width, height, tuple(found), labels))
    return made


def random_box(chosen: random.Random) -> Box:
    """Returns a box with six decimals, as published ones have."""
    ymin, xmin = chosen.uniform(0, 0.6), chosen.uniform(0, 0.6)
    sides = (ymin, xmin, chosen.uniform(ymin + 0.15, 1), chosen.uniform(xmin + 0.15, 1))
    return tuple(round(side, 6) for side in sides)  # type: ignore[return-value]


def draw_ellipse(box: Box, width: int, height: int) -> np.ndarray:
    """Returns an ellipse in a box, bool [height, width]."""
    ymin, xmin, ymax, xmax = box
    rows, columns = np.mgrid[0:height, 0:width]
    down = ((rows + 0.5) / height - (ymin + ymax) / 2) / (ymax - ymin)
    right = ((columns + 0.5) / width - (xmin + xmax) / 2) / (xmax - xmin)
    return down**2 + right**2 <= 0.25


def write_records(folder: pathlib.Path, images: Sequence[RandomImage], with_masks: bool) -> None:
    """Writes a validation split of two shards and its label map."""
    items = tuple(LabelMapItem(number, mid, mid[3:].title()) for number, mid in enumerate(MIDS, start=1))
    folder.mkdir(parents=True)
    (folder / "label_map.pbtxt").write_text(format_pbtxt(LabelMap(items)))
    examples = [_to_example(item, with_masks) for item in images]
    for shard in range(2):
        write_shard(folder / f"validation.tfrecord-{shard:05d}-of-00002", examples[shard::2])


def _to_example(item: RandomImage, with_masks: bool) -> bytes:
    ids = {mid: number for number, mid in enumerate(MIDS, start=1)}
    features = image(item.width, item.height, image_id=item.image_id)
    features |= boxes(*(box for _, box, _, _ in item.boxes), mids=[mid for mid, *_ in item.boxes])
    features |= {
        "object__class__label": int64_feature([ids[mid] for mid, *_ in item.boxes]),
        "object__group_of": int64_feature([int(is_group) for _, _, is_group, _ in item.boxes]),
        "class__text": texts(*(mid for mid, _ in item.labels)),
        "class__label": int64_feature([ids[mid] for mid, _ in item.labels]),
        "class__confidence": floats(*(confidence for _, confidence in item.labels)),
    }
    if with_masks:
        empty = np.zeros((item.height, item.width), bool)
        masks = [empty if mask is None else mask for *_, mask in item.boxes]
        features["object__mask"] = bytes_feature(list(map(_to_png, masks)))
    return make_example(**features)


def _to_png(mask: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG")
    return out.getvalue()


SPOILS = (
    "crowded",
    "perfect",
    "equal scores",
    "shifted",
    "doubled",
    "other classes",
    "added",
    "missing",
    "everything",
    "none",
)


def detect(images: Sequence[RandomImage], spoil: str, seed: int, with_masks: bool) -> list[dict[str, object]]:
    """Returns detections as rows of the official program's CSV, in a random order.

    Args:
        images: whose objects are detected.
        spoil: one of SPOILS, what is wrong with the detections.
        seed: of the random choices.
        with_masks: whether each has a mask, or a box.
    """
    chosen = random.Random(seed)
    everything = spoil == "everything"
    rows: list[dict[str, object]] = []
    for item in images:
        drawn = [(mid, box) for mid, box, _, _ in item.boxes if spoil != "none"]
        if spoil == "missing" or everything:
            drawn = [pair for pair in drawn if chosen.random() < 0.7]
        if spoil == "doubled" or everything:
            drawn += [(mid, _shift(box, chosen, 0.02)) for mid, box in drawn]
        if spoil == "shifted" or everything:
            drawn = [(mid, _shift(box, chosen, 0.15)) for mid, box in drawn]
        if spoil == "other classes" or everything:
            drawn = [(mid if chosen.random() < 0.6 else chosen.choice(MIDS), box) for mid, box in drawn]
        if spoil == "added" or everything:
            drawn += [(chosen.choice(MIDS), random_box(chosen)) for _ in range(4)]
        if spoil == "crowded":
            # The order of equal scores of many detections is that of an unstable sort; a turned box has no area.
            drawn += [(mid, _shift(box, chosen, 0.05)) for mid, box in drawn for _ in range(25)]
            drawn += [(mid, (box[2], box[1], box[0], box[3])) for mid, box in drawn[:2]]
        for mid, box in drawn:
            # Scores of two digits are often equal.
            score = {"perfect": 1.0, "equal scores": 0.5}.get(spoil, round(chosen.random(), 2))
            score = chosen.choice((-1.0, 0.0, 0.5)) if spoil == "crowded" else score
            rows.append(_to_row(item, mid, box, score, with_masks))
    chosen.shuffle(rows)
    return rows


def _shift(box: Box, chosen: random.Random, most: float) -> Box:
    moved = [min(1.0, max(0.0, round(side + chosen.uniform(-most, most), 6))) for side in box]
    ymin, ymax, xmin, xmax = *sorted(moved[::2]), *sorted(moved[1::2])
    return (ymin, xmin, ymax, xmax)


def _to_row(item: RandomImage, mid: str, box: Box, score: float, with_masks: bool) -> dict[str, object]:
    row: dict[str, object] = {"ImageID": item.image_id, "LabelName": mid, "Score": score}
    if with_masks:
        mask = format_challenge_text(encode_mask(draw_ellipse(box, item.width, item.height)))
        return row | {"ImageWidth": item.width, "ImageHeight": item.height, "Mask": mask}
    ymin, xmin, ymax, xmax = box
    return row | {"XMin": xmin, "XMax": xmax, "YMin": ymin, "YMax": ymax}


BOX_COLUMNS = ("ImageID", "LabelName", "Score", "XMin", "XMax", "YMin", "YMax")
MASK_COLUMNS = ("ImageID", "LabelName", "Score", "ImageWidth", "ImageHeight", "Mask")


def write_csv(path: pathlib.Path, rows: Sequence[dict[str, object]], with_masks: bool) -> None:
    """Writes detections as the official program reads them."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, MASK_COLUMNS if with_masks else BOX_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_hierarchy(path: pathlib.Path) -> None:
    """Writes the hierarchy of MIDS."""
    path.write_text(json.dumps(HIERARCHY))


def keep_boxes(item: RandomImage, kept: Sequence[bool]) -> RandomImage:
    """Returns an image with some of its boxes."""
    return dataclasses.replace(item, boxes=tuple(box for box, keep in zip(item.boxes, kept, strict=True) if keep))
