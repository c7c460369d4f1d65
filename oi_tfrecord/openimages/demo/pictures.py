"""The pictures of the generated dataset, and their annotations: what is drawn is known, so the boxes are exact."""

import base64
import dataclasses
import hashlib
import io

import numpy as np
from PIL import Image

from oi_tfrecord.openimages.demo.drawings import DRAWN_MIDS
from oi_tfrecord.openimages.demo.scenes import Extent, Scene, SceneKind, compose_scene, extents, render
from oi_tfrecord.openimages.release_headers import CLICK_COLUMNS, FLAG_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS
from oi_tfrecord.openimages.schema import COORDINATES, Table

Row = dict[str, str]

# MIDs and names as in V3's class-descriptions.csv. Tree is the parent of Christmas tree; Hammer is boxable but not
# trainable; two MIDs are called Kite (a toy, a bird).
BOX_NAMES = {
    "/m/07j7r": "Tree",
    "/m/018xm": "Ball",
    "/m/03jm5": "House",
    "/m/025dyy": "Box",
    "/m/01h8tj": "Starfish",
    "/m/02zt3": "Kite",
    "/m/025nd": "Christmas tree",
    "/m/03l9g": "Hammer",
}

IMAGE_NAMES = {
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

NOT_TRAINABLE = {"/m/03l9g", "/m/0100nhbf", "/m/017bml", "/m/021sdg", "/m/02wvth", "/m/03hgsf0"}

PARENTS = {"/m/025nd": "/m/07j7r"}

_TRUE_OF_EVERY_SCENE = ("/m/01kr8f", "/m/021sdg", "/m/02csf", "/m/0hwky", "/m/0jjw")

_NEVER_SHOWN = tuple(mid for mid in IMAGE_NAMES if mid not in _TRUE_OF_EVERY_SCENE)

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

SPLITS = ("train", "validation")

# Degrees as the metadata of V4 and later has them; empty where unknown.
_ROTATIONS = ("0.0", "0.0", "0.0", "90.0", "0.0", "180.0", "", "270.0")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of the dataset.

    Attributes:
        image_id: 16 hex digits.
        index: place of the picture in its split, from 0.
        scene: the drawn scene.
        jpeg: the encoded picture.
        rng: random numbers of the picture, from which its annotations are drawn.
    """

    image_id: str
    index: int
    scene: Scene
    jpeg: bytes
    rng: np.random.Generator


def encode_jpeg(image: Image.Image) -> bytes:
    """Returns an image as JPEG."""
    buffer = io.BytesIO()
    # No chroma subsampling: it would smear colour beyond the boxes.
    image.save(buffer, "JPEG", quality=88, subsampling=0)
    return buffer.getvalue()


def draw_picture(split: str, index: int, seed: int) -> Picture:
    """Returns the picture at `index` of a split; `seed` is that of the dataset."""
    image_id = hashlib.blake2b(f"{seed}/{split}/{index}".encode(), digest_size=8).hexdigest()
    # A stream for each picture, so that a larger sample begins with the pictures of a smaller one.
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    scene = compose_scene(rng, _KINDS.get(index % 12, SceneKind.PLAIN))
    image = render(scene)
    if split == "train" and index == _GRAYSCALE_INDEX:
        image = image.convert("L")
    return Picture(image_id, index, scene, encode_jpeg(image), rng)


def _image_row(split: str, picture: Picture) -> Row:
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


def _box_rows(split: str, picture: Picture) -> list[Row]:
    height, width = picture.scene.background.shape[:2]
    sources = ("activemil", "verification", "xclick", "xclick") if split == "train" else ("freeform",)
    rows = []
    for thing, extent in zip(picture.scene.objects, extents(picture.scene), strict=True):
        source = sources[int(picture.rng.integers(len(sources)))]
        flags = (extent.is_occluded, extent.is_truncated, thing.is_group_of, thing.is_depiction, False)
        row = _label_row(picture.image_id, source, thing.mid, "1") | box_edges(extent, width, height)
        rows.append(row | {name: f"{flag:d}" for name, flag in zip(FLAG_COLUMNS, flags, strict=True)})
    return sorted(rows, key=lambda row: tuple(row.values()))


def _label_row(image_id: str, source: str, mid: str, confidence: str) -> Row:
    return dict(zip(LABEL_COLUMNS, (image_id, source, mid, confidence), strict=True))


def box_edges(extent: Extent, width: int, height: int) -> Row:
    """Returns a box and its clicked points, here the middle of each side: top, left, bottom and right."""
    left, right, top, bottom = extent.xmin / width, extent.xmax / width, extent.ymin / height, extent.ymax / height
    across, down = (left + right) / 2, (top + bottom) / 2
    names = (*COORDINATES.values(), *CLICK_COLUMNS)
    values = (left, right, top, bottom, across, left, across, right, top, down, bottom, down)
    return {name: f"{value:.6f}" for name, value in zip(names, values, strict=True)}


def _human_rows(picture: Picture) -> list[Row]:
    """Returns the verified labels: drawn classes are present; a drawn class or a parent of one is never absent."""
    drawn = {thing.mid for thing in picture.scene.objects}
    implied = drawn | {PARENTS[mid] for mid in drawn if mid in PARENTS}
    absent = [mid for mid in (*DRAWN_MIDS, *_NEVER_SHOWN) if mid not in implied]
    denied = picture.rng.choice(absent, size=int(picture.rng.integers(2, 5)), replace=False)
    general = picture.rng.choice(_TRUE_OF_EVERY_SCENE, size=1)
    verdicts = {**dict.fromkeys([*drawn, *general.tolist()], "1"), **dict.fromkeys(denied.tolist(), "0")}
    rows = []
    for mid, verdict in sorted(verdicts.items()):
        source = "crowdsource-verification" if picture.rng.random() < 0.15 else "verification"
        rows.append(_label_row(picture.image_id, source, mid, verdict))
    return sorted(rows, key=lambda row: tuple(row.values()))


def _machine_rows(picture: Picture) -> list[Row]:
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


def annotate(split: str, picture: Picture) -> dict[Table, list[Row]]:
    """Returns the rows of a picture by table."""
    # The order matters, as each table draws from the picture's random numbers.
    return {
        Table.METADATA: [_image_row(split, picture)],
        Table.BOXES: _box_rows(split, picture),
        Table.HUMAN_LABELS: _human_rows(picture),
        Table.MACHINE_LABELS: _machine_rows(picture),
    }
