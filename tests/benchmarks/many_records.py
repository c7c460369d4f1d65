"""Writes a dataset of invented records of any number, for measuring `report` and `browse`.

python -m tests.benchmarks.many_records --records=40000 --output_dir=DIR
"""

import argparse
import hashlib
import io
import pathlib

import numpy as np
from PIL import Image, ImageDraw

from oi_tfrecord.records.example_writer import EntryEncoder, bytes_feature, float_feature, int64_feature, varint
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_pbtxt
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.records.tfrecord import frame

SOURCES = (b"xclick", b"activemil", b"verification", b"freeform")
SIZES = ((640, 480), (480, 640), (1024, 683), (1024, 768), (683, 1024))


def write_dataset(
    output_dir: pathlib.Path,
    records: int,
    shards: int = 8,
    classes: int = 600,
    split: str = "train",
    seed: int = 1,
    noise: float = 0,
) -> None:
    """Writes shards and a label map; classes follow Zipf's law, as those of Open Images nearly do.

    Args:
        output_dir: folder, made if it is not there.
        records: number of records.
        shards: number of shards.
        classes: number of classes.
        split: name of the split.
        seed: the same seed gives the same bytes.
        noise: share of noise in the pictures, which makes their files larger.
    """
    random = np.random.default_rng(seed)
    output_dir.mkdir(parents=True, exist_ok=True)
    items = [LabelMapItem(id, f"/m/0{id:05x}", f"Class {id}") for id in range(1, classes + 1)]
    (output_dir / "label_map.pbtxt").write_text(format_pbtxt(LabelMap(tuple(items))))
    pictures = [_picture(random, *SIZES[index % len(SIZES)], noise) for index in range(40)]
    weights = 1 / np.arange(1, classes + 1)
    weights /= weights.sum()
    encoders: dict[str, EntryEncoder] = {}
    for shard, numbers in enumerate(np.array_split(np.arange(records), shards)):
        with (output_dir / shard_file(split, shard, shards)).open("wb") as file:
            for number in numbers.tolist():
                features = _features(random, number, pictures[number % len(pictures)], weights)
                entries = [
                    encoders.setdefault(key, EntryEncoder(key)).encode(features[key]) for key in sorted(features)
                ]
                body = b"".join(entries)
                data = b"\x0a" + varint(len(body)) + body
                header, footer = frame([data])
                file.write(header + data + footer)


def _picture(random: np.random.Generator, width: int, height: int, noise: float) -> tuple[int, int, bytes]:
    colours = [tuple(map(int, colour)) for colour in random.integers(0, 255, (9, 3))]
    image = Image.new("RGB", (width, height), colours[0])
    draw = ImageDraw.Draw(image)
    for colour in colours[1:]:
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        draw.ellipse((x - 90, y - 60, x + 90, y + 60), fill=colour)
    out = io.BytesIO()
    if noise:
        speckles = Image.fromarray(random.integers(0, 255, (height, width, 3)).astype(np.uint8))
        image = Image.blend(image, speckles, noise)
    image.save(out, "JPEG", quality=80)
    return width, height, out.getvalue()


def _features(
    random: np.random.Generator, number: int, picture: tuple[int, int, bytes], weights: np.ndarray
) -> dict[str, bytes]:
    width, height, encoded = picture
    image_id = hashlib.sha256(str(number).encode()).hexdigest()[:16].encode()
    boxes = min(int(random.geometric(0.2)) - 1, 60)
    size = np.exp(random.uniform(np.log(0.02), 0, (boxes, 2)))
    start = random.uniform(0, 1, (boxes, 2)) * (1 - size)
    sides = {"ymin": start[:, 0], "xmin": start[:, 1], "ymax": (start + size)[:, 0], "xmax": (start + size)[:, 1]}
    labels = 1 + random.choice(len(weights), boxes + 4, p=weights)
    negative = 1 + random.choice(len(weights), 3)
    verified = [*dict.fromkeys(labels.tolist())]
    flags = {
        name: (random.random(boxes) < share).astype(int).tolist()
        for name, share in (("group_of", 0.06), ("occluded", 0.6), ("truncated", 0.2), ("depiction", 0.03))
    }
    return {
        "image/encoded": bytes_feature((encoded,)),
        "image/format": bytes_feature((b"jpeg",)),
        "image/filename": bytes_feature((image_id + b".jpg",)),
        "image/source_id": bytes_feature((image_id,)),
        "image/width": int64_feature((width,)),
        "image/height": int64_feature((height,)),
        **{
            f"image/object/bbox/{name}": float_feature(values.astype("<f4").tobytes()) for name, values in sides.items()
        },
        "image/object/class/label": int64_feature(labels[:boxes].tolist()),
        "image/object/class/text": bytes_feature([b"/m/0%05x" % id for id in labels[:boxes].tolist()]),
        "image/object/source": bytes_feature([SOURCES[kind] for kind in random.integers(0, 4, boxes).tolist()]),
        **{f"image/object/{name}": int64_feature(values) for name, values in flags.items()},
        "image/class/label": int64_feature([*verified, *negative.tolist()]),
        "image/class/text": bytes_feature([b"/m/0%05x" % id for id in [*verified, *negative.tolist()]]),
        "image/class/confidence": float_feature(np.array([1] * len(verified) + [0] * len(negative), "<f4").tobytes()),
        "image/attribution/title": bytes_feature((f"Picture {number}".encode(),)),
        "image/attribution/author": bytes_feature((f"Author {number % 997}".encode(),)),
        "image/attribution/license": bytes_feature((b"https://creativecommons.org/licenses/by/2.0/",)),
        "image/attribution/landing_url": bytes_feature((b"https://www.flickr.com/photos/x/%d" % number,)),
        "image/attribution/profile_url": bytes_feature((b"https://www.flickr.com/people/%d/" % (number % 997),)),
    }


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--classes", type=int, default=600)
    parser.add_argument("--noise", type=float, default=0, help="0.25 makes files of some 150 KB.")
    parsed = parser.parse_args()
    write_dataset(parsed.output_dir, parsed.records, parsed.shards, parsed.classes, noise=parsed.noise)


if __name__ == "__main__":
    main()
