"""Generates a V3 split of any scale with the published proportions and skew.

    python -m tests.benchmarks.generate_v3 --output_dir=/tmp/v3 --scale=0.05

Scale 1.0 of the train split is 9,011,219 images, 3,709,509 boxes, 20,868,755 human-verified
and 78,977,695 machine labels (openimages/dataset READMEV3.md, tables 1 and 2), about 7.5 GB
of CSV. The same split, scale and seed give the same bytes.
"""

import argparse
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.explore.report.published_counts import PUBLISHED

CLASSES = 19_995
BOXABLE = 600
TRAINABLE_BOXABLE = 545
MACHINE_CLASSES = 7_870
CHUNK_IMAGES = 200_000
FLAGS = {"IsOccluded": 0.4, "IsTruncated": 0.3, "IsGroupOf": 0.1, "IsDepiction": 0.05, "IsInside": 0.01}
"""Columns that V3's validation and test boxes have and train's lack, and the share of ones, which is assumed."""

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_MID_ALPHABET = np.frombuffer(b"0123456789bcdfghjklmnpqrstvwxyz_", np.uint8)


def class_mids(count: int) -> list[str]:
    """Returns `count` distinct MIDs of the published shape (`/m/` and 4 to 7 characters)."""
    mids = []
    for index in range(count):
        value, letters = index, []
        while value or len(letters) < 4:
            value, digit = divmod(value, 32)
            letters.append(chr(_MID_ALPHABET[digit]))
        mids.append("/m/0" + "".join(letters))
    return mids


def hex_ids(ids: np.ndarray) -> pa.Array:
    """Returns uint64 ImageIDs as 16 lower-case hex digits."""
    shifts = np.arange(60, -4, -4, dtype=np.uint64)
    digits = ((ids[:, None] >> shifts) & np.uint64(15)).astype(np.uint8)
    return _fixed_width(_HEX[digits])


def _fixed_width(characters: np.ndarray) -> pa.Array:
    count, width = characters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters)))


def _power_law(rng: np.random.Generator, count: int, classes: int) -> np.ndarray:
    """Class indices whose frequency falls as 1/rank, as the published distribution does."""
    return np.minimum(classes ** rng.random(count), classes - 1).astype(np.int32)


def _take(values: list[str], indices: np.ndarray) -> pa.Array:
    return pa.array(values).take(pa.array(indices))


def _flags(rng: np.random.Generator, count: int, share: float) -> pa.Array:
    return _take(["0", "1"], (rng.random(count) < share).astype(np.int8))


def _coordinates(rng: np.random.Generator, count: int) -> tuple[pa.Array, pa.Array]:
    low = rng.integers(0, 900_000, count)
    high = low + rng.integers(20_000, 100_000, count)
    return tuple(_decimals(value) for value in (low, np.minimum(high, 1_000_000)))


def _decimals(micro: np.ndarray) -> pa.Array:
    characters = np.full((len(micro), 8), ord("."), np.uint8)
    characters[:, 0] = 48 + micro // 1_000_000
    for place in range(6):
        characters[:, 7 - place] = 48 + (micro // 10**place) % 10
    return _fixed_width(characters)


def _labels(rng: np.random.Generator, images: int, ratio: float, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (image, class) pairs, each once, sorted by image: `ratio` per image on average."""
    image = np.repeat(np.arange(images), rng.poisson(ratio, images))
    pairs = np.unique(image * classes + _power_law(rng, len(image), classes))
    # What drew a class twice is made up for by classes at random, so that the total is as published.
    missing = len(image) - len(pairs)
    more = rng.integers(0, images * classes, missing)
    pairs = np.unique(np.concatenate([pairs, more]))
    return pairs // classes, (pairs % classes).astype(np.int32)


class _Table:
    """One CSV file, written chunk by chunk; `quoted` columns stand in quotes, as the published files have them."""

    def __init__(self, path: pathlib.Path, quoted: tuple[str, ...] = ()):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._quoted, self._started = path, quoted, False
        path.write_bytes(b"")

    def write(self, **columns: pa.Array) -> None:
        parts = [
            pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
            if name in self._quoted
            else column
            for name, column in columns.items()
        ]
        # An array of lines lies in memory as the file does.
        lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*parts, ","), "\n", "")
        with self._path.open("ab") as out:
            if not self._started:
                out.write(",".join(columns).encode() + b"\n")
            self._started = True
            out.write(lines.buffers()[2])


def generate(output_dir: pathlib.Path, scale: float, split: str = "train", seed: int = 3) -> dict[str, int]:
    """Writes the four CSVs of `split` and the class files.

    Args:
        output_dir: receives `<split>/*.csv` and the class files.
        scale: share of the published split, above 0.
        split: which: train, validation or test.
        seed: of the random generator.

    Returns:
        Rows per file name.
    """
    published = PUBLISHED["v3"][split]
    human_labels = published.positive_labels + published.negative_labels
    boxed_share, boxes_each = published.boxed_images / published.images, published.boxes / published.boxed_images
    rng = np.random.default_rng(seed)
    # Of their own, so that all other values are the same with and without them.
    flags_rng = np.random.default_rng([seed, len(FLAGS)])
    flags = {} if split == "train" else FLAGS
    mids = class_mids(CLASSES)
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / "class-descriptions.csv").write_text("".join(f"{mid},Class {i}\n" for i, mid in enumerate(mids)))
    (output_dir / "classes.txt").write_text("\n".join(mids) + "\n")
    (output_dir / "classes-bbox.txt").write_text("\n".join(mids[:BOXABLE]) + "\n")
    (output_dir / "classes-bbox-trainable.txt").write_text("\n".join(mids[:TRAINABLE_BOXABLE]) + "\n")
    (output_dir / "classes-trainable.txt").write_text("\n".join(mids[:5000]) + "\n")
    folder = output_dir / split
    metadata = _Table(folder / "images.csv", quoted=("Author", "Title"))
    boxes = _Table(folder / "annotations-human-bbox.csv")
    human = _Table(folder / "annotations-human.csv")
    machine = _Table(folder / "annotations-machine.csv")
    total = max(int(published.images * scale), 1)
    rows = dict.fromkeys(("images", "boxes", "human", "machine"), 0)
    for start in range(0, total, CHUNK_IMAGES):
        count = min(CHUNK_IMAGES, total - start)
        step = 2**64 // total
        ids = np.arange(start, start + count, dtype=np.uint64) * np.uint64(step)
        ids += rng.integers(0, step, count, dtype=np.uint64)
        image_ids = hex_ids(ids)
        serial = _decimals(rng.integers(0, 1_000_000, count))
        fill = pa.array([""]).take(pa.array(np.zeros(count, np.int8)))

        def text(*parts, fill=fill):
            return pc.binary_join_element_wise(
                *[p if isinstance(p, pa.Array) else pa.scalar(p) for p in parts], fill, ""
            )

        titles = ["Sunset, again", 'The "old" mill', "Zürich – Hauptbahnhof", "two lines\nof title", "IMG"]
        picked = rng.choice(len(titles), count, p=[0.2, 0.1, 0.1, 0.01, 0.59])
        metadata.write(
            ImageID=image_ids,
            Subset=text(fill, split),
            OriginalURL=text("https://farm1.staticflickr.com/", serial, "/", image_ids, "_o.jpg"),
            OriginalLandingURL=text("https://www.flickr.com/photos/", image_ids, "/", serial),
            License=text(fill, "https://creativecommons.org/licenses/by/2.0/"),
            AuthorProfileURL=text("https://www.flickr.com/people/", serial, "/"),
            Author=text("Author, ", serial),
            Title=text(_take(titles, picked), " ", serial),
            OriginalSize=pa.array(rng.integers(50_000, 9_000_000, count)).cast(pa.string()),
            OriginalMD5=text(image_ids, fill, "ABCDEF=="),
            Thumbnail300KURL=text("https://c1.staticflickr.com/", serial, "/", image_ids, "_z.jpg"),
        )
        rows["images"] += count

        boxed = rng.random(count) < boxed_share
        per_image = np.where(boxed, 1 + rng.poisson(boxes_each - 1, count), 0)
        index = np.repeat(np.arange(count), per_image)
        xmin, xmax = _coordinates(rng, len(index))
        ymin, ymax = _coordinates(rng, len(index))
        sources = ["xclick", "activemil", "verification"]
        boxes.write(
            ImageID=image_ids.take(pa.array(index)),
            Source=_take(sources, rng.choice(3, len(index), p=[0.33, 0.4, 0.27])),
            LabelName=_take(mids, _power_law(rng, len(index), BOXABLE)),
            Confidence=_take(["1"], np.zeros(len(index), np.int8)),
            XMin=xmin, XMax=xmax, YMin=ymin, YMax=ymax,
            **{name: _flags(flags_rng, len(index), share) for name, share in flags.items()},
        )  # fmt: skip
        rows["boxes"] += len(index)

        index, classes = _labels(rng, count, human_labels / published.images, CLASSES)
        human.write(
            ImageID=image_ids.take(pa.array(index)),
            Source=_take(["verification", "crowdsource-verification"], rng.choice(2, len(index), p=[0.95, 0.05])),
            LabelName=_take(mids, classes),
            Confidence=_take(["0", "1"], rng.choice(2, len(index), p=[0.53, 0.47])),
        )
        rows["human"] += len(index)

        index, classes = _labels(rng, count, published.machine_labels / published.images, MACHINE_CLASSES)
        machine.write(
            ImageID=image_ids.take(pa.array(index)),
            Source=_take(["machine"], np.zeros(len(index), np.int8)),
            LabelName=_take(mids, classes),
            Confidence=_take(["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"], rng.choice(6, len(index))),
        )
        rows["machine"] += len(index)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--scale", type=float, default=0.05)
    parser.add_argument("--split", default="train", choices=PUBLISHED["v3"])
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    for name, count in generate(arguments.output_dir, arguments.scale, arguments.split, arguments.seed).items():
        print(f"{name}: {count:,} rows")
