import hashlib
import io

import pytest
from PIL import Image

from oi_tfrecord.verification.check_image import check_image, check_image_id
from oi_tfrecord.verification.faults import FaultKind


def encode(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 60).save(buffer, kind)
    return buffer.getvalue()


JPEG = encode("JPEG")


def lists_of(encoded: bytes) -> dict[str, list]:
    return {
        "image/encoded": [encoded],
        "image/key/sha256": [hashlib.sha256(encoded).hexdigest().encode()],
        "image/width": [40],
        "image/height": [30],
        "image/format": [b"jpeg"],
    }


def test_an_image_with_its_size_and_checksum_has_no_fault() -> None:
    for ours in (True, False):
        for decode in (True, False):
            assert list(check_image(lists_of(JPEG), ours, decode)) == []
    assert list(check_image({}, ours=True, decode=True)) == []


def test_only_third_party_records_may_have_a_png_or_an_empty_checksum() -> None:
    lists = lists_of(encode("PNG")) | {"image/key/sha256": [b""], "image/format": [b"png"]}
    assert list(check_image(lists, ours=False, decode=True)) == []
    kinds = [finding.kind for finding in check_image(lists, ours=True, decode=False)]
    assert kinds == [FaultKind.IMAGE_SHA256, FaultKind.BAD_IMAGE, FaultKind.BAD_VALUE]


def test_the_size_of_the_record_is_the_size_of_the_image() -> None:
    found = list(check_image(lists_of(JPEG) | {"image/width": [41], "image/height": [0]}, ours=False, decode=False))
    assert [(finding.kind, finding.key, finding.detail) for finding in found] == [
        (FaultKind.IMAGE_SIZE, "image/width", "41, and the image has 40"),
        (FaultKind.IMAGE_SIZE, "image/height", "0, and the image has 30"),
    ]


@pytest.mark.parametrize(
    ("name", "source_id", "numeric_ids", "key"),
    [
        (b"00000000000000ab.jpg", b"00000000000000ab", False, None),
        (b"00000000000000ab.jpg", b"171", True, None),
        (b"cat.jpg", b"cat", False, "image/filename"),
        (b"00000000000000ab.jpg", b"00000000000000ac", False, "image/source_id"),
        (b"00000000000000ab.jpg", b"00000000000000ab", True, "image/source_id"),
    ],
)
def test_the_image_id_is_in_the_file_name_and_the_source_id(
    name: bytes, source_id: bytes, numeric_ids: bool, key: str | None
) -> None:
    found = list(check_image_id({"image/filename": [name], "image/source_id": [source_id]}, numeric_ids))
    assert [(finding.kind, finding.key) for finding in found] == ([(FaultKind.BAD_IMAGE_ID, key)] if key else [])
