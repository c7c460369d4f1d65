"""An invented split in the layout of V3 with known faults, of any size, and the command that converts it."""

import csv
import dataclasses
import io
import os
import pathlib
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from PIL import Image

from oi_tfrecord.records.tfrecord import read_records

ROOT = pathlib.Path(__file__).parents[2]
MIDS = ("/m/01g317", "/m/09j2d", "/m/0bt9lr", "/m/0cmf2")
"""Classes of the label map, in list order; UNLISTED has a description only, UNKNOWN not even that."""
UNLISTED = "/m/05s2s"
UNKNOWN = "/m/none"
TABLES = {"metadata": "images.csv", "boxes": "annotations-human-bbox.csv", "human_labels": "annotations-human.csv"}
HEADERS = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL",
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax",
    "ImageID,Source,LabelName,Confidence",
)

Rows = list[list[str]]


@dataclasses.dataclass(frozen=True)
class Expected:
    """What must become of the faults, by reason."""

    images: dict[str, int]
    metadata: dict[str, int]
    boxes: dict[str, int]
    human_labels: dict[str, int]

    @property
    def rejects(self) -> int:
        """Lines of the rejects file."""
        return sum(sum(getattr(self, field.name).values()) for field in dataclasses.fields(self))


@dataclasses.dataclass(frozen=True)
class Release:
    """A split on disk.

    Attributes:
        folder: holds `train/`, `images/` and the class files.
        image_ids: of all images that have a metadata row, with or without a file.
        broken: of those without a readable file, one per reason.
        expected: what becomes of the faults.
    """

    folder: pathlib.Path
    image_ids: tuple[str, ...]
    broken: dict[str, str]
    expected: Expected

    def flags(self, output_dir: pathlib.Path | str, **others: object) -> list[str]:
        """Returns the flags of `convert`; `others` are added or replace."""
        values: dict[str, object] = {
            "config": "v3",
            "split": "train",
            "data_dir": self.folder,
            "images": self.folder / "images" / "{image_id}.jpg",
            "output_dir": output_dir,
            "num_shards": 5,
            "select": "all",
            "max_rejects": "100%",
            **others,
        }
        return [f"--{name}={value}" for name, value in values.items() if value is not None]


def read_table(folder: pathlib.Path, table: str) -> Rows:
    """Returns the header and rows of a table."""
    with (folder / "train" / TABLES[table]).open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def write_table(folder: pathlib.Path, table: str, rows: Rows) -> None:
    """Writes the header and rows of a table."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path = folder / "train" / TABLES[table]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def write_release(
    folder: pathlib.Path,
    *,
    images: int,
    boxes: int = 3,
    title_bytes: int = 0,
    size: tuple[int, int] = (64, 48),
    faults: bool = True,
    seed: int = 1,
) -> Release:
    """Writes a split.

    Args:
        folder: where to.
        images: number of images, those with faults included.
        boxes: of each image.
        title_bytes: how long a title is at least; titles hold line breaks and quotes.
        size: width and height of an image.
        faults: whether rows and images have faults.
        seed: the same seed gives the same bytes.
    """
    chosen = random.Random(seed)
    ids = sorted(f"{number:016x}" for number in {chosen.randrange(1, 1 << 64) for _ in range(images)})
    (folder / "images").mkdir(parents=True)
    _write_classes(folder)
    jpegs = [_noise(chosen, size) for _ in range(6)]
    broken_kinds = ("image_missing", "image_empty", "image_cut_off", "not_an_image")
    broken = dict(zip(broken_kinds, chosen.sample(ids, len(broken_kinds)), strict=True)) if faults else {}
    for number, image_id in enumerate(ids):
        # The comment makes the bytes of each image its own, so that no two can be mistaken.
        comment = f"image {image_id}".encode()
        jpeg = jpegs[number % len(jpegs)]
        data = jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]
        path = folder / "images" / f"{image_id}.jpg"
        if image_id not in broken.values():
            path.write_bytes(data)
    if faults:
        (folder / "images" / f"{broken['image_empty']}.jpg").write_bytes(b"")
        (folder / "images" / f"{broken['image_cut_off']}.jpg").write_bytes(jpegs[0][:-40])
        (folder / "images" / f"{broken['not_an_image']}.jpg").write_bytes(b"<html>no longer here</html>")
    whole = [image_id for image_id in ids if image_id not in broken.values()]
    expected = _write_tables(folder, chosen, ids, whole, boxes, title_bytes, faults)
    if not faults:
        return Release(folder, tuple(ids), broken, expected)
    images_rejected = dict.fromkeys(broken, 1)
    return Release(folder, tuple(ids), broken, dataclasses.replace(expected, images=images_rejected))


def _write_classes(folder: pathlib.Path) -> None:
    named = "".join(f'{mid},"Name, {mid[-3:]}"\n' for mid in (*MIDS, UNLISTED))
    (folder / "class-descriptions.csv").write_text(named)
    (folder / "classes-bbox-trainable.txt").write_text("".join(mid + "\n" for mid in MIDS))


def _noise(chosen: random.Random, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (size[0] // 4, size[1] // 4), chosen.randbytes(size[0] // 4 * (size[1] // 4) * 3)).resize(
        size
    ).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _write_tables(
    folder: pathlib.Path,
    chosen: random.Random,
    ids: list[str],
    whole: list[str],
    boxes: int,
    title_bytes: int,
    faults: bool,
) -> Expected:
    filler = 'so "it" is,\nline after line; '
    metadata, box_rows, labels = ([header.split(",")] for header in HEADERS)
    for image_id in ids:
        title = f"Title of {image_id}, " + filler * (title_bytes // len(filler))
        url = f"https://example.org/{image_id}.jpg"
        metadata.append([image_id, "train", url, url, "CC BY", "https://example.org/a", "Jörg", title, "1", "x", ""])
        # Coordinates grow along a table, so that no two rows are equal but the duplicates below.
        for number in range(boxes):
            xmin = f"{(number + 1) / (boxes + 2):.6f}"
            mid = chosen.choice((*MIDS, UNLISTED) if number else MIDS)
            box_rows.append([image_id, "xclick", mid, "1", xmin, "0.999", "0.1", f"{chosen.uniform(0.2, 1):.6f}"])
        # The first annotation of an image has a listed class, as a repetition of it must not be dropped before.
        for mid in sorted(chosen.sample((*MIDS, UNLISTED), 2), key=UNLISTED.__eq__):
            labels.append([image_id, "verification", mid, chosen.choice("01")])
    if not faults:
        for table, rows in zip(TABLES, (metadata, box_rows, labels), strict=True):
            write_table(folder, table, rows)
        return Expected({}, {}, {}, {})
    one, two, three, *_ = chosen.sample(whole, 4)
    coordinates = ["0.1", "0.2", "0.1", "0.2"]
    orphan = "0000000000000000"
    wrong_boxes = {
        "unknown_class": (one, ["xclick", UNKNOWN, "1", *coordinates]),
        "degenerate_box": (one, ["xclick", MIDS[0], "1", "0.2", "0.2", "0.1", "0.2"]),
        "box_out_of_range": (two, ["xclick", MIDS[0], "1", "0.1", "1.2", "0.1", "0.2"]),
        "malformed_row": (two, ["xclick", MIDS[0]]),
        "bad_image_id": (three[:-1] + "x", ["xclick", MIDS[0], "1", *coordinates]),
        "annotation_without_image": (orphan, ["xclick", MIDS[0], "1", *coordinates]),
    }
    wrong_labels = {
        "bad_confidence": (one, ["verification", MIDS[0], "1.5"]),
        "annotation_without_image": (orphan, ["verification", MIDS[1], "1"]),
    }
    for rows, wrong in ((box_rows, wrong_boxes), (labels, wrong_labels)):
        for image_id, values in wrong.values():
            rows.insert(_row_of(rows, image_id), [image_id, *values])
        again = rows[_row_of(rows, three)]
        rows.insert(_row_of(rows, three) + 1, again)
    metadata.insert(_row_of(metadata, two), metadata[_row_of(metadata, two)])
    for table, rows in zip(TABLES, (metadata, box_rows, labels), strict=True):
        write_table(folder, table, rows)
    return Expected(
        images={},
        metadata={"duplicate": 1},
        boxes=dict.fromkeys([*wrong_boxes, "duplicate"], 1),
        human_labels=dict.fromkeys([*wrong_labels, "duplicate"], 1),
    )


def _row_of(rows: Rows, image_id: str) -> int:
    """Returns the index of the first row from which on ImageIDs are not lower."""
    return next((index for index, row in enumerate(rows[1:], 1) if row[0] >= image_id), len(rows))


def command(*flags: str) -> list[str]:
    """Returns the command line of `convert`."""
    return [sys.executable, "-m", "oi_tfrecord", "convert", *flags]


def environment() -> dict[str, str]:
    """Returns the environment of a command that runs from any folder."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def run_command(flags: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Runs `convert` in a process of its own; a hang ends the test after a while."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command(*flags), cwd=ROOT, env=environment(), text=True, capture_output=True, timeout=120, **options
    )


def convert(flags: Sequence[str], out: TextIO | None = None) -> int:
    """Runs `convert` in this process and returns its exit code; errors are raised, and `out` gets what it prints."""
    from oi_tfrecord.cli.command_line import parse_command_line
    from oi_tfrecord.cli.console import Console
    from oi_tfrecord.cli.convert import COMMAND

    return COMMAND.run(parse_command_line(COMMAND, flags), Console(out=out or io.StringIO()))


def shards(output_dir: pathlib.Path, split: str = "train") -> dict[str, bytes]:
    """Returns the bytes of each shard by name."""
    return {path.name: path.read_bytes() for path in sorted(output_dir.glob(f"{split}.tfrecord-*"))}


def dataset(output_dir: pathlib.Path) -> dict[str, bytes]:
    """Returns the bytes of every file below a folder by its path."""
    return {
        path.relative_to(output_dir).as_posix(): path.read_bytes() for path in output_dir.rglob("*") if path.is_file()
    }


def records(output_dir: pathlib.Path, split: str = "train") -> Iterator[bytes]:
    """Yields the records of all shards in order."""
    for data in shards(output_dir, split).values():
        yield from (record for _, record in read_records(io.BytesIO(data)))
