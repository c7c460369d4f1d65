"""The segmentation masks of a generated picture, in the published form: a row and a PNG of each object."""

import dataclasses
import hashlib
import io
import pathlib
import zipfile

import numpy as np
from PIL import Image

from oi_tfrecord.openimages.demo.pictures import Picture, Row, box_edges
from oi_tfrecord.openimages.demo.scenes import extents, visible_masks
from oi_tfrecord.openimages.schema import BOX_ID, COORDINATES, MASK_COORDINATES, MASK_PATH, PREDICTED_IOU

MASK_COLUMNS = (MASK_PATH, "ImageID", "LabelName", BOX_ID, *MASK_COORDINATES.values(), PREDICTED_IOU, "Clicks")
"""Header of the published table of masks (train-annotations-object-segmentation.csv)."""

_SCALE = 1.5625
"""1,600 / 1,024: published masks are often larger than the images."""

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)


@dataclasses.dataclass(frozen=True)
class DrawnMask:
    """A mask: its row of the table, and its file."""

    row: Row
    png: bytes


def draw_masks(split: str, picture: Picture) -> list[DrawnMask]:
    """Returns the masks of a picture, in the order of its objects; group-of boxes have none.

    Masks of every second picture are larger than the picture. Only masks of train, which a program drew, have a
    PredictedIoU and clicks.
    """
    height, width = picture.scene.background.shape[:2]
    parts = zip(picture.scene.objects, visible_masks(picture.scene), extents(picture.scene), strict=True)
    drawn = []
    for number, (thing, mask, extent) in enumerate(parts):
        if thing.is_group_of:
            continue
        digest = hashlib.blake2b(f"{picture.image_id}/{number}".encode(), digest_size=4)
        box_id = digest.hexdigest()
        edges = box_edges(extent, width, height)
        row = {
            MASK_PATH: f"{picture.image_id}_{thing.mid.replace('/', '')}_{box_id}.png",
            "ImageID": picture.image_id,
            "LabelName": thing.mid,
            BOX_ID: box_id,
            **{MASK_COORDINATES[field]: edges[column] for field, column in COORDINATES.items()},
            PREDICTED_IOU: f"{0.7 + digest.digest()[0] / 1024:.5f}" if split == "train" else "",
            "Clicks": f"{edges['XMin']} {edges['YMin']} 0" if split == "train" else "",
        }
        drawn.append(DrawnMask(row, _encode(mask, _SCALE if picture.index % 2 else 1)))
    return drawn


def _encode(mask: np.ndarray, scale: float) -> bytes:
    """Returns a mask (bool [height, width]) as PNG of one bit per pixel."""
    height, width = mask.shape
    buffer = io.BytesIO()
    size = (round(scale * width), round(scale * height))
    Image.fromarray(mask).resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


class MaskArchives:
    """The archives of the masks of a split as published: `<split>-masks-<first digit of the ImageID>.zip`."""

    def __init__(self, folder: pathlib.Path, split: str):
        """Opens no archive yet; `folder` is where they are written."""
        self._folder = folder
        self._split = split
        self._archives: dict[str, zipfile.ZipFile] = {}

    def __enter__(self) -> "MaskArchives":
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._archives.values():
            archive.close()

    def write(self, mask: DrawnMask) -> None:
        """Adds the file of a mask."""
        name = mask.row[MASK_PATH]
        if name[0] not in self._archives:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{self._split}-masks-{name[0]}.zip"
            self._archives[name[0]] = zipfile.ZipFile(path, "w")
        # A fixed date, so that the same seed gives the same bytes.
        self._archives[name[0]].writestr(zipfile.ZipInfo(name, _FIRST_DATE), mask.png)
