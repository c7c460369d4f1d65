"""Generates a small invented dataset in the published layout of an Open Images release."""

import base64
import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.openimages.demo.drawings import DRAWN_MIDS
from oi_tfrecord.openimages.demo.layouts import FOLDERS, class_files, format_table, table_files, values_of
from oi_tfrecord.openimages.demo.scenes import Extent, Scene, SceneKind, compose_scene, extents, render
from oi_tfrecord.openimages.release_headers import (
    CLICK_COLUMNS,
    FLAG_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    RELEASES,
)
from oi_tfrecord.openimages.schema import COORDINATES, Table

Row = dict[str, str]

# MIDs and names as in V3's class-descriptions.csv. Tree is the parent of Christmas tree; Hammer is boxable but not
# trainable; two MIDs are called Kite (a toy, a bird).
_BOX_NAMES = {
    "/m/07j7r": "Tree",
    "/m/018xm": "Ball",
    "/m/03jm5": "House",
    "/m/025dyy": "Box",
    "/m/01h8tj": "Starfish",
    "/m/02zt3": "Kite",
    "/m/025nd": "Christmas tree",
    "/m/03l9g": "Hammer",
}

_IMAGE_NAMES = {
    "/m/0100nhbf": "Sprenger's tulip",
    "/m/017bml": "Crème brûlée",
    "/m/01bqvp": "Sky",
    "/m/01cjsf": "Kite",
    "/m/01d4b2": "Jack-o'-lantern",
    "/m/01kr8f": "Illustration",
    "/m/021sdg": "Graphics",
    "/m/02csf": "Drawing",
    "/m/02wvth": 'Fiat 500 "topolino"',
    "/m/03hgsf0": "Lemon, lime and bitters",
    "/m/0csby": "Cloud",
    "/m/0hwky": "Pattern",
    "/m/0jjw": "Art",
}

_NOT_TRAINABLE = {"/m/03l9g", "/m/0100nhbf", "/m/017bml", "/m/021sdg", "/m/02wvth", "/m/03hgsf0"}

_PARENTS = {"/m/025nd": "/m/07j7r"}

_TRUE_OF_EVERY_SCENE = ("/m/01kr8f", "/m/021sdg", "/m/02csf", "/m/0hwky", "/m/0jjw")

_NEVER_SHOWN = tuple(mid for mid in _IMAGE_NAMES if mid not in _TRUE_OF_EVERY_SCENE)

_TITLES = (
    "Two lines:\nand a kite, perhaps",
    'The "small" still life',
    "Früchte, Bälle und ein Stern ★",
    'Ends in a quote "here"',
    '\nStarts with a line break, says "so",\n\nand has an empty line',
    "静物、箱と木",
    "Tom & Ann&#x27;s yard",
)

_AUTHORS = ("Ada Sample", "Meyer, Jörg", 'Kim "Pixel" Ng', "O'Neil & Sons, Ltd.", "山田 花子", "drawn_by_code")

_KINDS = {
    0: SceneKind.GROUP,
    3: SceneKind.DEPICTION,
    5: SceneKind.TRUNCATED,
    7: SceneKind.OCCLUDED,
    10: SceneKind.EMPTY,
}

_GRAYSCALE_INDEX = 1

_SPLITS = ("train", "validation")

# Degrees as the metadata of V4 and later has them; empty where unknown.
_ROTATIONS = ("0.0", "0.0", "0.0", "90.0", "0.0", "180.0", "", "270.0")


@dataclasses.dataclass(frozen=True)
class SampleSummary:
    """Counts of a generated dataset.

    Attributes:
        rows: data rows (without the header) by file, a path below the output directory with forward slashes.
        images: JPEG files by split.
    """

    rows: Mapping[str, int]
    images: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class _Picture:
    image_id: str
    index: int
    scene: Scene
    jpeg: bytes
    rng: np.random.Generator


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # No chroma subsampling: it would smear colour beyond the boxes.
    image.save(buffer, "JPEG", quality=88, subsampling=0)
    return buffer.getvalue()


def _picture(split: str, index: int, seed: int) -> _Picture:
    image_id = hashlib.blake2b(f"{seed}/{split}/{index}".encode(), digest_size=8).hexdigest()
    # A stream for each picture, so that a larger sample begins with the pictures of a smaller one.
    rng = np.random.default_rng([seed, _SPLITS.index(split), index])
    scene = compose_scene(rng, _KINDS.get(index % 12, SceneKind.PLAIN))
    image = render(scene)
    if split == "train" and index == _GRAYSCALE_INDEX:
        image = image.convert("L")
    return _Picture(image_id, index, scene, _jpeg(image), rng)


def _image_row(split: str, picture: _Picture) -> Row:
    index, image_id = picture.index, picture.image_id
    author = index % len(_AUTHORS)
    title = _TITLES[index // 3 % len(_TITLES)] if index % 3 == 0 else f"Still life no. {index}"
    thumbnail = "" if index % 7 == 4 else f"https://example.com/thumbnails/{image_id}_z.jpg"
    fields = (
        image_id,
        split,
        f"https://example.com/images/{split}/{image_id}.jpg",
        f"https://example.com/photos/{author}/{image_id}",
        "https://creativecommons.org/licenses/by/2.0/",
        f"https://example.com/people/{author}/",
        _AUTHORS[author],
        title,
        str(len(picture.jpeg)),
        base64.b64encode(hashlib.md5(picture.jpeg, usedforsecurity=False).digest()).decode("ascii"),
        thumbnail,
    )
    return dict(zip(IMAGE_COLUMNS, fields, strict=True)) | {"Rotation": _ROTATIONS[index % len(_ROTATIONS)]}


def _box_rows(split: str, picture: _Picture) -> list[Row]:
    height, width = picture.scene.background.shape[:2]
    sources = ("activemil", "verification", "xclick", "xclick") if split == "train" else ("freeform",)
    rows = []
    for thing, extent in zip(picture.scene.objects, extents(picture.scene), strict=True):
        source = sources[int(picture.rng.integers(len(sources)))]
        flags = (extent.is_occluded, extent.is_truncated, thing.is_group_of, thing.is_depiction, False)
        row = _label_row(picture.image_id, source, thing.mid, "1") | _edges(extent, width, height)
        rows.append(row | {name: f"{flag:d}" for name, flag in zip(FLAG_COLUMNS, flags, strict=True)})
    return sorted(rows, key=lambda row: tuple(row.values()))


def _label_row(image_id: str, source: str, mid: str, confidence: str) -> Row:
    return dict(zip(LABEL_COLUMNS, (image_id, source, mid, confidence), strict=True))


def _edges(extent: Extent, width: int, height: int) -> Row:
    """Returns a box and its clicked points, here the middle of each side: top, left, bottom and right."""
    left, right, top, bottom = extent.xmin / width, extent.xmax / width, extent.ymin / height, extent.ymax / height
    across, down = (left + right) / 2, (top + bottom) / 2
    names = (*COORDINATES.values(), *CLICK_COLUMNS)
    values = (left, right, top, bottom, across, left, across, right, top, down, bottom, down)
    return {name: f"{value:.6f}" for name, value in zip(names, values, strict=True)}


def _human_rows(picture: _Picture) -> list[Row]:
    """Returns the verified labels: drawn classes are present; a drawn class or a parent of one is never absent."""
    drawn = {thing.mid for thing in picture.scene.objects}
    implied = drawn | {_PARENTS[mid] for mid in drawn if mid in _PARENTS}
    absent = [mid for mid in (*DRAWN_MIDS, *_NEVER_SHOWN) if mid not in implied]
    denied = picture.rng.choice(absent, size=int(picture.rng.integers(2, 5)), replace=False)
    general = picture.rng.choice(_TRUE_OF_EVERY_SCENE, size=1)
    verdicts = {**dict.fromkeys([*drawn, *general.tolist()], "1"), **dict.fromkeys(denied.tolist(), "0")}
    rows = []
    for mid, verdict in sorted(verdicts.items()):
        source = "crowdsource-verification" if picture.rng.random() < 0.15 else "verification"
        rows.append(_label_row(picture.image_id, source, mid, verdict))
    return sorted(rows, key=lambda row: tuple(row.values()))


def _machine_rows(picture: _Picture) -> list[Row]:
    """Returns machine labels, surest first: some of the truth and, as in the published file, some mistakes."""
    drawn = sorted({thing.mid for thing in picture.scene.objects})
    mistakes = [mid for mid in (*DRAWN_MIDS, *_NEVER_SHOWN) if mid not in drawn]
    guesses = [
        *((mid, picture.rng.integers(6, 11)) for mid in drawn if picture.rng.random() < 0.8),
        *((mid, picture.rng.integers(5, 11)) for mid in picture.rng.choice(_TRUE_OF_EVERY_SCENE, 2, replace=False)),
        (mistakes[int(picture.rng.integers(len(mistakes)))], picture.rng.integers(5, 8)),
    ]
    guesses.sort(key=lambda guess: (-guess[1], guess[0]))
    return [_label_row(picture.image_id, "machine", mid, f"{tenths / 10:.1f}") for mid, tenths in guesses]


def _class_files(release: str) -> dict[str, bytes]:
    names = {**_BOX_NAMES, **_IMAGE_NAMES}
    mids = sorted(names, key=lambda mid: mid.replace("_", ""))
    return class_files(
        release,
        {mid: names[mid] for mid in mids},
        boxable=[mid for mid in mids if mid in _BOX_NAMES],
        trainable=[mid for mid in mids if mid not in _NOT_TRAINABLE],
        box_trainable=[mid for mid in _BOX_NAMES if mid not in _NOT_TRAINABLE],
    )


def generate(
    output_dir: pathlib.Path,
    *,
    release: str = "v3",
    train_images: int = 48,
    validation_images: int = 12,
    seed: int = 20171116,
) -> SampleSummary:
    """Writes an invented dataset of drawn scenes in the layout of an Open Images release.

    Args:
        output_dir: where to write the release's folder (CSV and class files; `2017_11/` of V3) and
            `images/<split>/<ImageID>.jpg`; made if absent.
        release: v1 to v7. Pictures and annotations are the same in each.
        train_images: pictures in the train split, at least 1; from 12 on a split shows every kind of scene.
        validation_images: the same for the validation split.
        seed: a whole number from 0; the same seed gives the same bytes (with the same NumPy and Pillow).

    Returns:
        The counts of the dataset.

    Raises:
        ConfigError: there is no such release, a count or the seed is too small, or `output_dir` already holds a
            dataset.
    """
    if release not in RELEASES:
        raise ConfigError("release", f"{release!r} is none of {', '.join(RELEASES)}{nearest(release, RELEASES)}")
    for field, value, least in (
        ("train_images", train_images, 1),
        ("validation_images", validation_images, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ConfigError(field, f"is {value}; it must be at least {least}")
    folder = output_dir / FOLDERS[release]
    for taken in (folder, output_dir / "images"):
        if taken.exists():
            raise ConfigError("output_dir", f"{taken} exists already; name another directory or remove it")

    contents: dict[str, tuple[bytes, int]] = {}
    for split, count in zip(_SPLITS, (train_images, validation_images), strict=True):
        image_dir = output_dir / "images" / split
        image_dir.mkdir(parents=True)
        pictures = []
        for index in range(count):
            picture = _picture(split, index, seed)
            (image_dir / f"{picture.image_id}.jpg").write_bytes(picture.jpeg)
            pictures.append((picture.image_id, _rows(split, picture)))
        pictures.sort(key=lambda entry: entry[0])
        for file in table_files(release, split):
            rows = [
                values_of(release, file.table, row)
                for _, by_table in pictures
                for row in by_table[file.table]
                if not file.boxable_only or row["LabelName"] in _BOX_NAMES
            ]
            contents[file.path] = format_table(release, file, rows), len(rows)
    for name, data in _class_files(release).items():
        lines = data.splitlines()
        contents[name] = data, len(lines) - (lines[0] == b"LabelName,DisplayName")
    for name, (data, _) in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return SampleSummary(
        rows={f"{FOLDERS[release]}/{name}": count for name, (_, count) in contents.items()},
        images=dict(zip(_SPLITS, (train_images, validation_images), strict=True)),
    )


def _rows(split: str, picture: _Picture) -> dict[Table, list[Row]]:
    # The order matters, as each draws from the picture's random numbers.
    return {
        Table.METADATA: [_image_row(split, picture)],
        Table.BOXES: _box_rows(split, picture),
        Table.HUMAN_LABELS: _human_rows(picture),
        Table.MACHINE_LABELS: _machine_rows(picture),
    }
