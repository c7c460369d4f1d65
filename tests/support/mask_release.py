"""An invented split in the layout of V5 with segmentation masks, some at fault, and what must become of them."""

import csv
import dataclasses
import io
import pathlib
import random
import tarfile
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

MIDS = ("/m/01g317", "/m/09j2d", "/m/0bt9lr")
UNLISTED = "/m/05s2s"
METADATA = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,OriginalMD5,"
    "Thumbnail300KURL,Rotation"
)
BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
MASKS = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
CLICKS = "0.95498 0.65197 1;0.89370 0.56579 1;0.94701 0.48968 0"


@dataclasses.dataclass(frozen=True)
class MaskRelease:
    """A split on disk.

    Attributes:
        folder: holds the CSV files, `images/` and `masks/`.
        boxes: ImageID to its boxes in file order, each as its row.
        masks: (ImageID, number of the box) to the mask, bool [height, width] of the image's size; a box without
            a mask that can be read is not in it.
        drawn: the same as they are in the files.
        rejected: rows of the mask table by reason of their rejection.
    """

    folder: pathlib.Path
    boxes: dict[str, list[list[str]]]
    masks: dict[tuple[str, int], np.ndarray]
    drawn: dict[tuple[str, int], np.ndarray]
    rejected: dict[str, int]

    def flags(self, output_dir: pathlib.Path, **others: object) -> list[str]:
        """Returns the flags of `convert`; `others` are added or replace, None takes one away."""
        values: dict[str, object] = {
            "config": "v5",
            "split": "train",
            "data_dir": self.folder,
            "images": self.folder / "images" / "{image_id}.jpg",
            "extra_keys": "masks",
            "mask_files": self.folder / "masks" / "{mask_path}",
            "output_dir": output_dir,
            "num_shards": 3,
            "workers": 1,
            "max_rejects": "100%",
            **others,
        }
        return [f"--{name}={value}" for name, value in values.items() if value is not None]

    def files(self) -> dict[str, bytes]:
        """Returns the PNG files by name."""
        return {path.name: path.read_bytes() for path in sorted((self.folder / "masks").iterdir())}


def nearest(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a mask of another size: each pixel is that of the source in which its middle lies."""
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    return mask[rows][:, columns]


def draw(box: tuple[float, float, float, float], width: int, height: int) -> np.ndarray:
    """Returns an ellipse in a box (xmin, xmax, ymin, ymax, normalised), bool [height, width]."""
    picture = Image.new("1", (width, height))
    xmin, xmax, ymin, ymax = box
    corners = (xmin * width, ymin * height, xmax * width, ymax * height)
    ImageDraw.Draw(picture).ellipse(corners, fill=1)
    return np.asarray(picture)


def png_of(mask: np.ndarray) -> bytes:
    """Returns a mask as it is published: one bit per pixel."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def write_release(folder: pathlib.Path, *, images: int = 12, faults: bool = True, seed: int = 1) -> MaskRelease:
    """Writes a split; every third box has no mask, and every second image has masks of another size."""
    chosen = random.Random(seed)
    ids = sorted(f"{chosen.getrandbits(64):016x}" for _ in range(images))
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    named = "".join(f"{mid},Name {mid[-3:]}\r\n" for mid in MIDS)
    (folder / "class-descriptions-boxable.csv").write_text(named, newline="")
    metadata, box_rows, mask_rows = ([header.split(",")] for header in (METADATA, BOXES, MASKS))
    boxes: dict[str, list[list[str]]] = {}
    masks: dict[tuple[str, int], np.ndarray] = {}
    files: dict[tuple[str, int], np.ndarray] = {}
    for number, image_id in enumerate(ids):
        width, height = chosen.randint(20, 60), chosen.randint(20, 60)
        Image.effect_noise((width, height), 40).convert("RGB").save(folder / "images" / f"{image_id}.jpg")
        metadata.append([image_id, "train", *["x"] * 9, "0.0"])
        boxes[image_id] = []
        for place in range(chosen.randint(2, 6)):
            # Half the coordinates are at the image's sides, as many real ones are.
            xmin, ymin = (chosen.choice([0.0, chosen.uniform(0, 0.4)]) for _ in "xy")
            box = (xmin, chosen.uniform(xmin + 0.2, 1), ymin, chosen.uniform(ymin + 0.2, 1))
            mid = chosen.choice(MIDS)
            row = [image_id, "xclick", mid, "1", *(f"{side:.9g}" for side in box), *"00000"]
            boxes[image_id].append(row)
            if place % 3 == 2:
                continue
            box_id = f"{chosen.getrandbits(32):08x}"
            name = f"{image_id}_{mid.replace('/', '')}_{box_id}.png"
            # Six decimals, without zeros at the end.
            sides = [f"{side:.6f}".rstrip("0") for side in box]
            mask_rows.append([name, image_id, mid, box_id, *sides, "0.86864", CLICKS])
            size = (width, height) if number % 2 else (round(1.5625 * width), round(1.5625 * height))
            drawn = draw(box, *size)
            (folder / "masks" / name).write_bytes(png_of(drawn))
            files[image_id, place] = drawn
            masks[image_id, place] = nearest(drawn, width, height)
        box_rows += boxes[image_id]
    # Masks come in an order of their own.
    mask_rows[1:] = chosen.sample(mask_rows[1:], len(mask_rows) - 1)
    rejected = _add_faults(folder, boxes, masks, mask_rows) if faults else {}
    for name, rows in (
        ("train-images-boxable-with-rotation.csv", metadata),
        ("train-annotations-bbox.csv", box_rows),
        ("train-annotations-object-segmentation.csv", mask_rows),
    ):
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
    return MaskRelease(folder, boxes, masks, {key: files[key] for key in masks}, rejected)


def _add_faults(
    folder: pathlib.Path,
    boxes: Mapping[str, list[list[str]]],
    masks: dict[tuple[str, int], np.ndarray],
    mask_rows: list[list[str]],
) -> dict[str, int]:
    good = mask_rows[1:]
    place_of = {
        row[0]: next(
            key
            for key in masks
            if key[0] == row[1]
            and boxes[key[0]][key[1]][2] == row[2]
            and all(abs(float(a) - float(b)) < 1e-6 for a, b in zip(boxes[key[0]][key[1]][4:8], row[4:8], strict=True))
        )
        for row in good
    }
    missing, broken, cut, empty, other, shifted, blank, cropped, twice, second = good[:10]
    path = folder / "masks"
    (path / missing[0]).unlink()
    data = (path / broken[0]).read_bytes()
    (path / broken[0]).write_bytes(data.replace(b"IDAT", b"IDAT" + b"\xff" * 4, 1))
    (path / cut[0]).write_bytes((path / cut[0]).read_bytes()[:-30])
    (path / empty[0]).write_bytes(b"")
    (path / other[0]).write_bytes(b"\xff\xd8\xff\xe0 a JPEG")
    (path / blank[0]).write_bytes(png_of(np.zeros_like(masks[place_of[blank[0]]])))
    (path / cropped[0]).write_bytes(png_of(np.ones_like(masks[place_of[cropped[0]]][:8])))
    for row in (missing, broken, cut, empty, other, shifted, blank, cropped):
        del masks[place_of[row[0]]]
    shifted[5] = f"{float(shifted[5]) - 0.00001:.6f}"
    mask_rows.append(list(twice))
    again = f"{second[1]}_again_00000000.png"
    (path / again).write_bytes((path / second[0]).read_bytes())
    mask_rows.append([again, *second[1:]])
    mask_rows.append([f"../{second[0]}", *second[1:]])
    mask_rows.append(["0000000000000000_x_0.png", "0000000000000000", *second[2:]])
    mask_rows.append([second[0], second[1], "/m/none", *second[3:]])
    mask_rows.append(second[:5])
    return {
        "image_missing": 1,
        "image_broken": 1,
        "image_cut_off": 1,
        "image_empty": 1,
        "not_an_image": 1,
        "mask_without_box": 1,
        "mask_empty": 1,
        "mask_other_shape": 1,
        "duplicate": 2,
        "bad_mask_path": 1,
        "annotation_without_image": 1,
        "unknown_class": 1,
        "malformed_row": 1,
    }


def pack_by_first_digit(files: Mapping[str, bytes], folder: pathlib.Path, kind: str) -> str:
    """Packs masks as they are published, one archive per first hex digit, and returns the pattern of the archives."""
    for digit in "0123456789abcdef":
        own = {name: data for name, data in files.items() if name[0] == digit}
        path = folder / f"train-masks-{digit}.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
                for name, data in own.items():
                    zipped.writestr(name, data)
            continue
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
            for name, data in own.items():
                info = tarfile.TarInfo(f"train-masks/{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return str(folder / ("{split}-masks-*." + kind))
