"""The facts of one image that its page shows, from its record."""

from collections.abc import Mapping
from typing import Any

from oi_tfrecord.explore.browse.search_rows import FLAG_NAMES, find_masked
from oi_tfrecord.explore.class_colours import assign_colours, box_labels, format_colour, text_colour
from oi_tfrecord.explore.record_text import describe_record
from oi_tfrecord.openimages.schema import ATTRIBUTION
from oi_tfrecord.records.example_reader import (
    Values,
    check_lengths,
    decode,
    find_image_size,
    get_bytes,
    get_classes,
    get_numbers,
    get_strings,
    join_absent_labels,
)
from oi_tfrecord.records.keys import (
    BOX_CONFIDENCE_KEY,
    BOX_SOURCE_KEY,
    ENCODED_KEY,
    SHA256_KEY,
    attribution_key,
    flag_key,
)

_SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
}


def describe_image(
    example: Mapping[str, Values], names: Mapping[str, str], mid_of: Mapping[int, str]
) -> dict[str, Any]:
    """Returns the facts of an image.

    Args:
        example: its parsed record.
        names: display name of each MID.
        mid_of: MID of each label map id.

    Returns:
        Values that JSON can hold. `boxes` are [xmin, ymin, xmax, ymax] as fractions of the image's sides, from its top
        left corner, with class, flags and source; `mask` says whether `/mask` shows a mask of the box, and `colour` and
        `ink` are the colours of its class and of text on that colour.

    Raises:
        RecordFault: if its lists do not belong together.
    """
    width, height = find_image_size(example)
    return {
        "width": width,
        "height": height,
        "bytes": len(get_bytes(example, ENCODED_KEY)),
        "sha256": decode(get_bytes(example, SHA256_KEY)),
        "boxes": _describe_boxes(example, names, mid_of),
        "labels": _describe_labels(example, names, mid_of),
        "attribution": {
            name: decode(text) for name in ATTRIBUTION if (text := get_bytes(example, attribution_key(name)))
        },
        "text": "".join(f"{line}\n" for line in describe_record(example, names, mid_of, max_values=None)),
    }


def media_type(encoded: bytes) -> str:
    """Returns the media type of an encoded image by its first bytes; a browser shows nothing else as an image."""
    for signature, name in _SIGNATURES.items():
        if encoded.startswith(signature):
            return name
    return "application/octet-stream"


def _describe_boxes(
    example: Mapping[str, Values], names: Mapping[str, str], mid_of: Mapping[int, str]
) -> list[dict[str, Any]]:
    mids = get_classes(example, "image/object/class", mid_of)
    sides = [get_numbers(example, f"image/object/bbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    flags = {name: get_numbers(example, flag_key(name)) for name in FLAG_NAMES if flag_key(name) in example}
    sources = get_strings(example, BOX_SOURCE_KEY) or [b""] * len(mids)
    confidences = get_numbers(example, BOX_CONFIDENCE_KEY).tolist()
    masked = find_masked(example, len(mids))
    labels = box_labels(example, len(mids))
    colours = assign_colours(labels)
    check_lengths({"box sides": min(map(len, sides)), "source": len(sources)}, len(mids))
    check_lengths({name: len(values) for name, values in flags.items()}, len(mids))
    return [
        {
            "mid": mid,
            "name": names.get(mid, mid),
            "box": [_finite(side[place]) for side in sides],
            "flags": [name for name, values in flags.items() if values[place] == 1],
            "source": decode(sources[place]),
            "confidence": _finite(confidences[place]) if place < len(confidences) else None,
            "mask": place in masked,
            "colour": format_colour(colours[labels[place]]),
            "ink": format_colour(text_colour(colours[labels[place]])),
        }
        for place, mid in enumerate(mids)
    ]


def _describe_labels(
    example: Mapping[str, Values], names: Mapping[str, str], mid_of: Mapping[int, str]
) -> list[dict[str, Any]]:
    rows = []
    example = join_absent_labels(example)
    for prefix in ("image/class", "image/machine_class"):
        mids = get_classes(example, prefix, mid_of)
        sources = get_strings(example, f"{prefix}/source")
        key = f"{prefix}/confidence"
        confidences = get_numbers(example, key).tolist() if key in example else [1.0] * len(mids)
        check_lengths({"confidence": len(confidences)}, len(mids))
        for place, (mid, confidence) in enumerate(zip(mids, confidences, strict=True)):
            kind = "machine" if prefix == "image/machine_class" else "positive" if confidence > 0 else "negative"
            source = decode(sources[place]) if place < len(sources) else ""
            label = {"mid": mid, "name": names.get(mid, mid), "kind": kind}
            rows.append(label | {"confidence": _finite(confidence), "source": source})
    return rows


def _finite(value: float) -> float:
    """Returns a number that JSON can hold: 0 for NaN and infinities."""
    number = float(value)
    return round(number, 6) if abs(number) < float("inf") else 0.0
