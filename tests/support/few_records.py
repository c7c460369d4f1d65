"""A few records of one's own making, as shards."""

import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from oi_tfrecord.records.example_writer import EntryEncoder, bytes_feature, float_feature, int64_feature, varint
from oi_tfrecord.records.tfrecord import frame


def make_example(**features: bytes) -> bytes:
    """Returns an Example; names have `__` for the slash and no `image/`."""
    named = {f"image/{name.replace('__', '/')}": feature for name, feature in features.items()}
    body = b"".join(EntryEncoder(key).encode(named[key]) for key in sorted(named))
    return b"\x0a" + varint(len(body)) + body


def texts(*values: str) -> bytes:
    return bytes_feature([value.encode() for value in values])


def floats(*values: float) -> bytes:
    return float_feature(np.array(values, "<f4").tobytes())


def boxes(*corners: tuple[float, float, float, float], mids: Sequence[str]) -> dict[str, bytes]:
    """Returns the features of boxes (ymin, xmin, ymax, xmax)."""
    sides = zip(*corners, strict=True) if corners else [()] * 4
    names = ("ymin", "xmin", "ymax", "xmax")
    features = {f"object__bbox__{name}": floats(*side) for name, side in zip(names, sides, strict=True)}
    return features | {"object__class__text": texts(*mids)}


def image(width: int = 640, height: int = 480, encoded: bytes = b"jpeg", image_id: str = "") -> dict[str, bytes]:
    features = {
        "width": int64_feature((width,)),
        "height": int64_feature((height,)),
        "encoded": bytes_feature((encoded,)),
    }
    return features | ({"source_id": texts(image_id)} if image_id else {})


def draw_jpeg(width: int, height: int, colour: tuple[int, int, int] = (90, 120, 160)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def write_shard(path: pathlib.Path, examples: Sequence[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for data in examples:
            header, footer = frame([data])
            file.write(header + data + footer)
