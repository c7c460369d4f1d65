"""Draws what a detector found in the first six images of a split.

    python examples/draw_detections.py sample/records detections.json detections.jpg

The file of detections is what the examples beside this one write: ImageID to `boxes` (rows of ymin, xmin, ymax, xmax,
normalised), `scores` and `classes` (ids of the label map).
"""

import argparse
import io
import itertools
import json
import pathlib

from PIL import Image

import oi_tfrecord
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.explore.draw_boxes import DrawnBox, draw_boxes

LEAST_SCORE = 0.4


def draw(records: str, split: str, found: dict[str, dict[str, list]], path: pathlib.Path) -> None:
    """Writes a picture of what was found in the first six images of a split with a score of at least 0.4."""
    label_map = read_label_map(records)
    names = {item.id: item.display_name for item in label_map.items} if label_map else {}
    sheet = Image.new("RGB", (3 * 300, 2 * 225), "white")
    for place, values in enumerate(itertools.islice(oi_tfrecord.RecordDataset(records, split, decode=False), 6)):
        own = found[values["image_id"].decode()]
        boxes = [
            DrawnBox(*box, label, f"{names.get(label, label)} {score:.2f}")
            for box, score, label in zip(own["boxes"], own["scores"], own["classes"], strict=True)
            if score >= LEAST_SCORE
        ]
        with Image.open(io.BytesIO(draw_boxes(values["image"], boxes))) as drawn:
            drawn.thumbnail((294, 219))
            row, column = divmod(place, 3)
            sheet.paste(drawn, (column * 300 + (300 - drawn.width) // 2, row * 225 + (225 - drawn.height) // 2))
    sheet.save(path, quality=85)


def main() -> None:
    """Draws the detections of a file."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("records", help="Folder with the split validation.")
    flags.add_argument("detections", type=pathlib.Path, help="JSON file of detections.")
    flags.add_argument("picture", type=pathlib.Path, help="Picture to write.")
    options = flags.parse_args()
    draw(options.records, "validation", json.loads(options.detections.read_text()), options.picture)


if __name__ == "__main__":
    main()
