"""What the pages show of a dataset: lists of images and classes, the facts of an image, images and thumbnails."""

import functools
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import LABEL_MAP_FILE, read_label_map
from oi_tfrecord.dataset.splits import read_record
from oi_tfrecord.errors import InputError
from oi_tfrecord.explore.browse.attribution import AttributionFile
from oi_tfrecord.explore.browse.class_list import ClassList
from oi_tfrecord.explore.browse.image_page import describe_image, media_type
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.predictions import Predictions
from oi_tfrecord.explore.browse.query import Query, count_alone, find_images
from oi_tfrecord.explore.browse.rejects import explain_reason, read_rejects
from oi_tfrecord.explore.browse.search_rows import FLAG_NAMES, flag_bits
from oi_tfrecord.explore.browse.sort_images import ORDERS
from oi_tfrecord.explore.draw_boxes import boxes_of, outline_boxes, shade_masks
from oi_tfrecord.images.mask_png import read_mask
from oi_tfrecord.images.pixel_budget import DECODED_AT_ONCE
from oi_tfrecord.records.example_reader import RecordFault, Values, get_bytes, get_strings, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY, MASK_KEY

MOST_IMAGES = 500
"""Images that one answer lists."""

MOST_CLASSES = 200
"""Classes that one answer lists."""

THUMBNAIL = (256, 192)
"""Pixels; a quarter of the common 1024 x 768, to which a JPEG is decoded without scaling."""

_LINES = 50_000
"""ImageIDs of a part of a list."""

DRAWN = ("boxes", "masks")
"""What a thumbnail can have on top of the image."""

FIRST_CLASSES = 100
"""Classes that the page comes with."""

UNREADABLE = (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError)
"""What Pillow raises for images that it cannot read."""

SMALL_BYTES = 32 << 10
"""A browser draws an image of this size sooner than the server makes a thumbnail of it."""


class BrowsedDataset:
    """A dataset and its index: gives the pages the values that they show."""

    def __init__(self, output_dir: str, index: BrowseIndex, detections: str = ""):
        """Reads the label map, the headers of the attribution files, and the detections.

        Args:
            output_dir: folder of the records.
            index: of the records.
            detections: file of the detections to show beside the records; empty for none.

        Raises:
            InputError: naming the row of the detections that is malformed, or records without a label map.
        """
        self.index = index
        self._output_dir = output_dir
        label_map = read_label_map(output_dir)
        items = label_map.items if label_map else ()
        self._names = {item.name: item.display_name for item in items}
        self._mid_of = {item.id: item.name for item in items}
        self.classes = ClassList(index, self._names, {item.name: item.id for item in items})
        self._attribution = {split: AttributionFile(output_dir, split) for split in index.splits}
        # Part of the address of each image, so that a browser shows no cached image of an older dataset.
        places = (index.arrays[name].tobytes() for name in ("image_id", "offset"))
        self._version = hashlib.sha256(b"".join(places)).hexdigest()[:16]
        # Pillow looks for its plugins at the first image, which would take longer than the others.
        Image.preinit()
        self._find = functools.lru_cache(maxsize=32)(self._find_images)
        self._predictions: Predictions | None = None
        if detections:
            if label_map is None:
                raise InputError(output_dir, f"there is no {LABEL_MAP_FILE}", "Put the label map of the records there")
            self._predictions = Predictions(detections, label_map, index, self._read_example)
            self._count_outcomes = functools.lru_cache(maxsize=4)(self._predictions.count)

    def describe(self) -> dict[str, Any]:
        """Returns the splits, and the flags and sources that a query can filter by."""
        flags = self.index.arrays["box_flags"]
        known = int(np.bitwise_or.reduce(flags)) if len(flags) else 0
        sizes = np.diff(self.index.split_starts).tolist()
        return {
            "splits": [{"name": name, "records": size} for name, size in zip(self.index.splits, sizes, strict=True)],
            "records": self.index.records,
            "flags": [flag for flag in FLAG_NAMES if known & flag_bits(flag)[1]],
            "sources": sorted(filter(None, self.index.sources)),
            "detections": self._predictions is not None,
            "masks": bool(self.index.arrays["masks"].any()),
            "classes": self.list_classes("", 0, FIRST_CLASSES),
        }

    def list_images(self, query: Query, start: int, count: int) -> dict[str, Any]:
        """Returns the number of images that a query finds, and `count` of them from `start`."""
        found = self._find(query)
        shown = found[max(start, 0) :][: min(max(count, 0), MOST_IMAGES)]
        images = [self._summarise(record) | self._outcomes_of(record, query) for record in shown.tolist()]
        classes = [
            {"text": text, "found": list(map(self.classes.describe, self.classes.find(text)))} for text in query.classes
        ]
        why = [] if len(found) else count_alone(self.index, self.classes, query)
        if query.outcome and not len(found):
            alone = self._find(Query(outcome=query.outcome, score=query.score))
            why.append({"name": "outcome", "value": query.outcome, "images": len(alone)})
        listed = {"version": self._version, "total": len(found), "start": start, "images": images}
        return listed | {"classes": classes, "why": why}

    def list_image_ids(self, query: Query) -> Iterator[bytes]:
        """Yields the ImageIDs that a query finds, a line each, in parts of many lines."""
        found = self._find(query)
        for start in range(0, len(found), _LINES):
            yield b"".join(
                name + b"\n" for name in self.index.arrays["image_id"][found[start : start + _LINES]].tolist()
            )

    def list_classes(self, text: str, start: int, count: int) -> dict[str, Any]:
        """Returns some of the classes that a text may mean, and the number of ImageIDs that begin with the text."""
        images = len(self.index.with_id(text)) if text else 0
        found = self.classes.search(text, start, min(count, MOST_CLASSES))
        return {"total": found.total, "classes": found.rows, "images": images}

    def describe_image(self, record: int, query: Query) -> dict[str, Any]:
        """Returns the facts of an image, and its neighbours among the images that a query finds."""
        found = self._find(query)
        places = np.flatnonzero(found == record)
        inside = len(places) > 0
        # An image that is not found has neighbours where the images come in the order of the records.
        place = int(places[0]) if inside else int(np.searchsorted(found, record)) if query.order == ORDERS[0] else 0
        after = place + 1 if inside else place
        example = self._read_example(record)
        facts = describe_image(example, self._names, self._mid_of)
        facts["detections"] = self._predictions.describe(example) if self._predictions else None
        facts["score"] = query.score
        facts["attribution"] = self._read_attribution(record) | facts["attribution"]
        shard, offset, _ = self.index.place_of(record)
        return {
            "version": self._version,
            **self._summarise(record),
            **facts,
            "shard": shard,
            "offset": offset,
            "place": place if inside else None,
            "total": len(found),
            "previous": self._summarise(int(found[place - 1])) if place > 0 else None,
            "next": self._summarise(int(found[after])) if after < len(found) else None,
        }

    def list_rejects(self, reason: str, start: int, count: int) -> dict[str, Any]:
        """Returns some of the rejects, each with the number of the image's record; null where there is none."""
        page = read_rejects(self._output_dir, self.index.splits, reason, start, min(count, MOST_IMAGES))
        rows = [
            {
                "split": row.split,
                **{name.lower(): value for name, value in row.fields.items()},
                "record": self.find_record(row.split, row.fields["ImageID"]),
            }
            for row in page.rows
        ]
        reasons = [
            {"reason": name, "count": number, "meaning": explain_reason(name)} for name, number in page.reasons.items()
        ]
        return {"version": self._version, "total": page.total, "reasons": reasons, "rejects": rows}

    def find_record(self, split: str, image_id: str) -> int | None:
        """Returns the number of an image's record; None if there is none."""
        for record in self.index.with_id(image_id).tolist():
            if self.index.id_of(record) == image_id and self.index.split_of(record) == split:
                return int(record)
        return None

    def read_image(self, record: int) -> tuple[bytes, str]:
        """Returns the encoded image of a record, and its media type."""
        encoded = get_bytes(self._read_example(record), ENCODED_KEY)
        return encoded, media_type(encoded)

    def make_mask(self, record: int, place: int) -> tuple[bytes, str]:
        """Returns the mask of a box, white in the object and black elsewhere, and its media type.

        Raises:
            RecordFault: if the box has no mask, or one that cannot be read.
        """
        masks = get_strings(self._read_example(record), MASK_KEY)
        if place >= len(masks):
            raise RecordFault(f"it has {len(masks)} masks")
        try:
            pixels = read_mask(masks[place])
        except (OSError, ValueError, SyntaxError) as error:
            raise RecordFault(f"its mask {place} is no image: {error}") from error
        out = io.BytesIO()
        Image.fromarray(pixels * np.uint8(255)).save(out, "PNG")
        return out.getvalue(), "image/png"

    def make_thumbnail(self, record: int) -> tuple[bytes, str]:
        """Returns a small JPEG of a record's image, and its media type; a small file is served as it is."""
        encoded, kind = self.read_image(record)
        if len(encoded) <= SMALL_BYTES:
            return encoded, kind
        try:
            return _write_jpeg(_shrink(encoded)), "image/jpeg"
        except UNREADABLE:
            # A browser may show an image that Pillow cannot read.
            return encoded, kind

    def draw_thumbnail(self, record: int, drawn: Collection[str]) -> tuple[bytes, str]:
        """Returns a small JPEG of a record's image with its `boxes`, its `masks` or both on top, and its media type."""
        example = self._read_example(record)
        encoded = get_bytes(example, ENCODED_KEY)
        try:
            picture = _shrink(encoded)
        except UNREADABLE:
            return encoded, media_type(encoded)
        boxes = boxes_of(example, ())
        if "masks" in drawn:
            picture = shade_masks(picture, boxes)
        if "boxes" in drawn:
            outline_boxes(picture, boxes)
        return _write_jpeg(picture), "image/jpeg"

    def _find_images(self, query: Query) -> np.ndarray:
        """Returns the records that a query finds, also by what became of the detections."""
        found = find_images(self.index, self.classes, query)
        if self._predictions is None:
            return found
        counts = self._count_outcomes(query.score)
        if query.outcome:
            found = found[counts[query.outcome][found] > 0]
        if query.order == "worst":
            errors = (counts["missed"] + counts["false"])[found]
            found = found[np.argsort(-errors, kind="stable")]
        return found

    def _outcomes_of(self, record: int, query: Query) -> dict[str, int]:
        """Returns how many boxes and detections of a record have each outcome; nothing without detections."""
        if self._predictions is None:
            return {}
        return {outcome: int(counts[record]) for outcome, counts in self._count_outcomes(query.score).items()}

    def _summarise(self, record: int) -> dict[str, Any]:
        return {
            "record": record,
            "split": self.index.split_of(record),
            "id": self.index.id_of(record),
            "boxes": int(self.index.arrays["boxes"][record]),
        }

    def _read_example(self, record: int) -> Mapping[str, Values]:
        shard, offset, length = self.index.place_of(record)
        return parse_example(read_record(storage.join(self._output_dir, shard), offset, length))

    def _read_attribution(self, record: int) -> dict[str, str]:
        offset, length = self.index.arrays["attribution"][record].tolist()
        return self._attribution[self.index.split_of(record)].read_row(offset, length)


def _shrink(encoded: bytes) -> Image.Image:
    """Returns an image as an RGB picture of at most THUMBNAIL pixels."""
    with Image.open(io.BytesIO(encoded)) as image:
        image.draft("RGB", (THUMBNAIL[0], THUMBNAIL[1]))
        with DECODED_AT_ONCE.hold(image.width * image.height):
            image.thumbnail(THUMBNAIL)
        return image.convert("RGB")


def _write_jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()
