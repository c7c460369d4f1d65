"""Checks the image of a record and what the record says of the image: checksum, size, format, ImageID."""

import hashlib
from collections.abc import Iterator, Mapping

from oi_tfrecord.images.check import find_image_fault
from oi_tfrecord.openimages.image_id import HEX_ID, is_image_name
from oi_tfrecord.records.keys import (
    ENCODED_KEY,
    FILENAME_KEY,
    FORMAT_KEY,
    HEIGHT_KEY,
    SHA256_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
)
from oi_tfrecord.verification.faults import FaultKind, Finding, show_bytes


def check_image(lists: Mapping[str, list], ours: bool, decode: bool) -> Iterator[Finding]:
    """Yields the faults of the image of a record.

    Args:
        lists: values of the keys whose kind and length are right, see `check_values`.
        ours: whether `oi-tfrecord convert` wrote the record, so that the image is a plain JPEG.
        decode: whether to decode the image, or to read its header only.
    """
    if ENCODED_KEY not in lists:
        return
    encoded: bytes = lists[ENCODED_KEY][0]
    if SHA256_KEY in lists:
        yield from _check_sha256(encoded, lists[SHA256_KEY][0], ours)
    fault, (width, height) = find_image_fault(encoded, plain=ours, decode=decode)
    if fault:
        yield Finding(FaultKind.BAD_IMAGE, ENCODED_KEY, fault)
    for key, pixels in ((WIDTH_KEY, width), (HEIGHT_KEY, height)):
        if pixels and key in lists and lists[key][0] != pixels:
            yield Finding(FaultKind.IMAGE_SIZE, key, f"{lists[key][0]}, and the image has {pixels}")
    if ours and (name := lists.get(FORMAT_KEY)) and name[0] != b"jpeg":
        yield Finding(FaultKind.BAD_VALUE, FORMAT_KEY, f"{show_bytes(name[0])} instead of jpeg")


def _check_sha256(encoded: bytes, stated: bytes, ours: bool) -> Iterator[Finding]:
    if not stated and not ours:
        # The key is optional: some writers leave its value empty.
        return
    digest = hashlib.sha256(encoded).hexdigest()
    if digest.encode() != stated:
        yield Finding(FaultKind.IMAGE_SHA256, SHA256_KEY, f"{show_bytes(stated)}, and {ENCODED_KEY} has {digest}")


def check_image_id(lists: Mapping[str, list], numeric_ids: bool, any_ids: bool = False) -> Iterator[Finding]:
    """Yields the faults of the ImageID of a record that `oi-tfrecord convert` wrote.

    Args:
        lists: values of the keys whose kind and length are right, see `check_values`.
        numeric_ids: whether source ids are numbers, so that only the file name has the ImageID.
        any_ids: whether ImageIDs may be names of any form.
    """
    if FILENAME_KEY not in lists or SOURCE_ID_KEY not in lists:
        return
    name, source_id = lists[FILENAME_KEY][0], lists[SOURCE_ID_KEY][0]
    stem = name.removesuffix(b".jpg")
    if not (is_image_name(stem) and name != stem if any_ids else HEX_ID.fullmatch(stem)):
        yield Finding(FaultKind.BAD_IMAGE_ID, FILENAME_KEY, f"{show_bytes(name)} is not <ImageID>.jpg")
    elif numeric_ids:
        if not source_id.isdigit():
            yield Finding(FaultKind.BAD_IMAGE_ID, SOURCE_ID_KEY, f"{show_bytes(source_id)} is not a number")
    elif source_id + b".jpg" != name:
        detail = f"{show_bytes(source_id)}, and {FILENAME_KEY} is {show_bytes(name)}"
        yield Finding(FaultKind.BAD_IMAGE_ID, SOURCE_ID_KEY, detail)
