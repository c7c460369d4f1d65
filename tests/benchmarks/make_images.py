"""Generates a V3 train split with its JPEGs: textured scenes of about 235 KB, boxes and human labels on each.

    python -m tests.benchmarks.make_images --output_dir=/tmp/v3_images --images=4000

No two files are equal (but for `--distinct`): a few hundred pictures are drawn, and each file carries its ImageID in a
comment segment. The same arguments give the same bytes (with the same NumPy and Pillow).
"""

import argparse
import csv
import io
import pathlib

import numpy as np
from PIL import Image

from .generate_v3 import class_mids

SPLIT = "train"
PICTURES = 200
WIDTH, HEIGHT = 1024, 768
QUALITY = 80
LEAST_GRAIN, MOST_GRAIN = 4.0, 12.4
"""Standard deviation of the noise laid on a picture, in gray levels: at QUALITY, about 178 and 290 KB."""

_CLASSES, _BOXABLE, _TRAINABLE_BOXABLE = 700, 600, 545
_FINISHED = "finished"
_COLUMNS = {
    "images.csv": "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL",
    "annotations-human-bbox.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax",
    "annotations-human.csv": "ImageID,Source,LabelName,Confidence",
    "annotations-machine.csv": "ImageID,Source,LabelName,Confidence",
}
_BOX_SOURCES = ("xclick", "activemil", "verification")
_TITLES = ("Sunset, again", 'The "old" mill', "Zürich – Hauptbahnhof", "IMG", "two lines\nof title")


def draw(rng: np.random.Generator) -> bytes:
    """Returns a picture of coloured clouds under grain, as a JPEG of WIDTH x HEIGHT pixels."""
    coarse = rng.normal(128, 60, (HEIGHT // 8, WIDTH // 8, 3)).clip(0, 255).astype(np.uint8)
    clouds = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    deviation = rng.uniform(LEAST_GRAIN, MOST_GRAIN)
    grain = (rng.standard_normal((HEIGHT, WIDTH, 1), np.float32) * deviation).astype(np.int16)
    encoded = io.BytesIO()
    Image.fromarray((clouds + grain).clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """Returns a JPEG with a comment segment (ITU-T T.81, B.2.4.5) after its start-of-image marker."""
    return b"".join((jpeg[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2, "big"), comment, jpeg[2:]))


def make_release(folder: pathlib.Path, images: int, seed: int = 3, distinct: int = 0) -> None:
    """Writes `2017_11/` (CSV and class files) and `images/train/<ImageID>.jpg`, unless they are there.

    Args:
        folder: where to write; what an interrupted run left there is overwritten.
        images: number of JPEGs, at least 1; each has boxes and human labels.
        seed: of the random generator.
        distinct: JPEGs that take space; further images are links to these. 0 for all.
    """
    if (folder / _FINISHED).exists():
        return
    rng = np.random.default_rng(seed)
    mids = class_mids(_CLASSES)
    pictures = [draw(rng) for _ in range(min(PICTURES, images))]
    release, image_folder = folder / "2017_11", folder / "images" / SPLIT
    (release / SPLIT).mkdir(parents=True, exist_ok=True)
    image_folder.mkdir(parents=True, exist_ok=True)
    _write_classes(release, mids)
    step = 2**64 // images
    tables: dict[str, list[list[object]]] = {name: [] for name in _COLUMNS}
    written: list[pathlib.Path] = []
    for number in range(images):
        image_id = f"{number * step + int(rng.integers(0, step, dtype=np.uint64)):016x}"
        jpeg = with_comment(pictures[number % len(pictures)], image_id.encode())
        path = image_folder / f"{image_id}.jpg"
        if distinct and number >= distinct:
            path.unlink(missing_ok=True)
            path.hardlink_to(written[number % distinct])
        else:
            path.write_bytes(jpeg)
            written.append(path)
        url = f"https://farm1.staticflickr.com/{number}/{image_id}"
        page = f"https://www.flickr.com/photos/{number}"
        licence = "https://creativecommons.org/licenses/by/2.0/"
        title = f"{_TITLES[number % len(_TITLES)]} {number}"
        author = f"Author, {number % 97}"
        md5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
        tables["images.csv"].append(
            [image_id, SPLIT, url + "_o.jpg", page, licence, page, author, title, len(jpeg), md5, url + "_z.jpg"]
        )
        for _ in range(1 + rng.poisson(1.3)):
            tables["annotations-human-bbox.csv"].append([image_id, *_box(rng, mids)])
        for name, source, count in (
            ("annotations-human.csv", "verification", 1 + rng.poisson(1.3)),
            ("annotations-machine.csv", "machine", rng.poisson(8.8)),
        ):
            for label in rng.choice(_CLASSES, count, replace=False).tolist():
                confidence = label % 2 if source == "verification" else round(0.5 + label % 6 / 10, 1)
                tables[name].append([image_id, source, mids[label], confidence])
    for name, rows in tables.items():
        with open(release / SPLIT / name, "w", encoding="utf-8", newline="") as file:
            file.write(_COLUMNS[name] + "\n")
            csv.writer(file, lineterminator="\n").writerows(rows)
    (folder / _FINISHED).touch()


def _box(rng: np.random.Generator, mids: list[str]) -> list[object]:
    label = mids[int(rng.integers(_TRAINABLE_BOXABLE))]
    xmin, ymin = rng.uniform(0, 0.9, 2).tolist()
    xmax, ymax = xmin + rng.uniform(0.02, 0.1), ymin + rng.uniform(0.02, 0.1)
    source = _BOX_SOURCES[int(rng.integers(len(_BOX_SOURCES)))]
    return [source, label, 1, f"{xmin:.6f}", f"{xmax:.6f}", f"{ymin:.6f}", f"{ymax:.6f}"]


def _write_classes(release: pathlib.Path, mids: list[str]) -> None:
    descriptions = "".join(f"{mid},Class {number}\n" for number, mid in enumerate(mids))
    (release / "class-descriptions.csv").write_text(descriptions)
    for name, count in (
        ("classes.txt", _CLASSES),
        ("classes-trainable.txt", _CLASSES),
        ("classes-bbox.txt", _BOXABLE),
        ("classes-bbox-trainable.txt", _TRAINABLE_BOXABLE),
    ):
        (release / name).write_text("".join(f"{mid}\n" for mid in mids[:count]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--distinct", type=int, default=0, help="files of their own; 0 for all")
    arguments = parser.parse_args()
    make_release(arguments.output_dir, arguments.images, arguments.seed, arguments.distinct)
