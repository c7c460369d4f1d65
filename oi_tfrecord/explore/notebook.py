"""What a notebook shows of records: a record as a picture, and the browser of a dataset in a frame."""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

from oi_tfrecord.errors import InputError
from oi_tfrecord.explore.draw_boxes import boxes_of, draw_boxes
from oi_tfrecord.explore.record_text import class_names
from oi_tfrecord.records.example_reader import ExampleError, decode, get_bytes, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY, SOURCE_ID_KEY
from oi_tfrecord.records.label_map import LabelMap

FRAME_HEIGHT = 800
"""Pixels of the frame that a notebook shows the browser in."""


@dataclasses.dataclass(frozen=True)
class RecordPicture:
    """A record as a notebook shows it: its image with boxes and masks.

    Attributes:
        png: the picture.
        text: says which record the picture shows.
    """

    png: bytes
    text: str

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return self.text


def draw_record(data: bytes, place: str, label_map: LabelMap | None) -> RecordPicture:
    """Draws the boxes and masks of a record on its image.

    Args:
        data: the serialised Example.
        place: says where the record is.
        label_map: gives the names of classes.

    Raises:
        InputError: if the record is no Example, or has no image that decodes.
    """
    remedy = "`oi-tfrecord verify` lists all faults of the records"
    try:
        features = parse_example(data)
    except ExampleError as error:
        raise InputError(place, str(error), remedy) from error
    boxes = boxes_of(features, class_names(features, label_map))
    try:
        png = draw_boxes(get_bytes(features, ENCODED_KEY), boxes)
    except (OSError, ValueError) as error:
        raise InputError(place, f"has no image that can be shown: {error}", remedy) from error
    names = ", ".join(dict.fromkeys(box.text for box in boxes)) or "none"
    image_id = decode(get_bytes(features, SOURCE_ID_KEY))
    return RecordPicture(png, f"<record {place}, image {image_id}, {len(boxes)} boxes: {names}>")


def start_in_thread(serve: Callable[[Callable[[str], None]], None]) -> str:
    """Starts a server in a thread that ends with this program.

    Args:
        serve: serves until the program ends; calls its argument with the address once the server listens.

    Returns:
        The address.

    Raises:
        ConfigError: of `serve`, as when a port cannot be had.
    """
    address: concurrent.futures.Future[str] = concurrent.futures.Future()

    def run() -> None:
        try:
            serve(address.set_result)
        except BaseException as error:
            if address.done():
                raise
            address.set_exception(error)

    threading.Thread(target=run, daemon=True, name="oi-tfrecord browse").start()
    return address.result()


def show_frame(address: str) -> Any:
    """Shows a page in the output of the running cell of a notebook."""
    from IPython.display import IFrame, display

    return display(IFrame(address, width="100%", height=FRAME_HEIGHT))
