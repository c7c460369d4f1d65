"""The description of the Dataflow flex template: each parameter of `convert`, with what its value may be.

`python -m templates.dataflow.make_metadata > templates/dataflow/metadata.json` writes it. Format: "Template metadata"
in cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates; the regexes are those of POSIX's egrep.
"""

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.yaml_file import shipped_configs

REQUIRED = ("config", "split", "data_dir", "output_dir", "sdk_container_image")

LEFT_OUT = ("dry_run", "max_images")
"""Settings of the command that a template's one job, which runs after the command has ended, cannot have."""

_BUCKET = "gs://[a-z0-9][a-z0-9._-]+[a-z0-9]"

_FOLDER = f"{_BUCKET}(/.*)?"

_PATH = f"{_BUCKET}/.+"

_PATTERN = f'{_BUCKET}/[^,"]+'

_NAME = f'[^/:,"][^:,"]*|{_PATTERN}'
"""Relative to `data_dir`, or a pattern of paths."""


def whole_numbers(low: int, high: int) -> str:
    """Returns the pattern of the whole numbers from `low` to `high` as Python writes them.

    Args:
        low: at least 0.
        high: at least `low`.
    """
    # Numbers of as many digits are compared digit by digit.
    edges = [low, *(10**digits for digits in range(len(str(low)), len(str(high)))), high + 1]
    spans = [(str(start), str(end - 1)) for start, end in itertools.pairwise(edges)]
    # All numbers of some lengths are one part.
    free = [len(start) - 1 for start, end in spans if int(start) and int(end) + 1 == 10 * int(start)]
    parts = [f"[1-9][0-9]{{{free[0]},{free[-1]}}}"] if len(free) > 1 else []
    for start, end in spans:
        if len(free) < 2 or len(start) - 1 not in free:
            parts += _same_length(start, end)
    return "|".join(parts)


def _same_length(low: str, high: str) -> Iterator[str]:
    rest = len(low) - 1
    if not rest:
        yield _digit(low, high)
        return
    if low[0] == high[0]:
        for part in _same_length(low[1:], high[1:]):
            yield low[0] + part
        return
    # The first digit decides but for the lowest and the highest, which the other digits may be free of too.
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        for part in _same_length(low[1:], "9" * rest):
            yield low[0] + part
        first += 1
    if high[1:] != "9" * rest:
        last -= 1
    if first <= last:
        yield _digit(str(first), str(last)) + (f"[0-9]{{{rest}}}" if rest > 1 else "[0-9]")
    if high[1:] != "9" * rest:
        for part in _same_length("0" * rest, high[1:]):
            yield high[0] + part


def _digit(low: str, high: str) -> str:
    return low if low == high else f"[{low}-{high}]"


_TEXTS = {
    "release": (".*[^ ].*", "v3"),
    "data_dir": (_FOLDER, "gs://my-bucket/2017_11"),
    "output_dir": (_FOLDER, "gs://my-bucket/records"),
    "image_cache": ("/[^:]*", "/tmp/images"),
    "url_folders": (_FOLDER, "gs://my-bucket/images"),
    "label_map": (_PATH, "gs://my-bucket/label_map.pbtxt"),
    "image_ids": (_PATH, "gs://my-bucket/image_ids.txt"),
    "max_rejects": (rf"[0-9]+|(({whole_numbers(0, 99)})(\.[0-9]+)?|100(\.0+)?)%", "1%"),
}
"""Field to (regex, example)."""

_FORMS = {
    "split": ("", "train"),
    "images": (f"{_BUCKET}/", "gs://my-bucket/train/{image_id}.jpg"),
    "mask_files": (f"{_BUCKET}/", "gs://my-bucket/masks/{mask_path}"),
}
"""Field to (what stands before the form that the configuration asks for, example)."""

_LISTS = {
    "archives": (_PATTERN, "gs://my-bucket/tar/train_*.tar.gz"),
    "mask_archives": (_PATTERN, "gs://my-bucket/{split}-masks-*.zip"),
    "metadata": (_NAME, "{split}/images.csv"),
    "boxes": (_NAME, "{split}/annotations-human-bbox.csv"),
    "human_labels": (_NAME, "{split}/annotations-human.csv"),
    "machine_labels": (_NAME, "{split}/annotations-machine.csv"),
    "masks": (_NAME, "{split}-annotations-object-segmentation.csv"),
    "class_descriptions": (_NAME, "class-descriptions.csv"),
    "class_list": (_NAME, "classes-bbox-trainable.txt"),
    "hierarchy": (_NAME, "bbox_labels_600_hierarchy.json"),
    "subset": ('[^,"]+', "train"),
    "classes": ('gs://[^,"]+|/m/[^,"]+|/g/[^,"]+|[^,"/][^,"]*', "/m/01g317,/m/0bt9lr"),
    "box_sources": ('[^,"]+', "xclick,activemil"),
}
"""Field to (regex of an item, example)."""


def template_metadata() -> dict[str, Any]:
    """Returns the content of `metadata.json`."""
    about = "Name of the release's configuration"
    parameters = [_describe("config", about, "", _one_of(shipped_configs()), "v3")]
    for field in dataclasses.fields(ConvertConfig):
        if field.name in LEFT_OUT:
            continue
        regex, example = _values_of(field)
        default = "" if isinstance(field.default, tuple) else _text(field.default)
        parameters.append(_describe(field.name, field.metadata["help"], default, regex, example))
    image = "Image of the workers, as made by templates/dataflow/Dockerfile."
    example = "us-central1-docker.pkg.dev/my-project/my-repository/oi-tfrecord:0.1.0"
    parameters.append(_describe("sdk_container_image", image, "", "[^ ]+", example))
    return {
        "name": "Open Images to TFRecords",
        "description": "Converts a split of Open Images to TensorFlow training records.",
        "parameters": parameters,
    }


def _describe(name: str, about: str, default: str, regex: str, example: str) -> dict[str, Any]:
    about = about if about.endswith(".") else about + "."
    default = f" Default: {default}." if default else ""
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": f"{about}{default} Example: {example}",
        "paramType": "TEXT",
        "isOptional": name not in REQUIRED,
        "regexes": [f"^({regex})$"],
    }


def _values_of(field: dataclasses.Field[Any]) -> tuple[str, str]:
    """Returns the regex of a field's values, and an example."""
    name, default, allowed = field.name, field.default, field.metadata["allowed"]
    if name in _TEXTS:
        return _TEXTS[name]
    if name in _LISTS:
        item, example = _LISTS[name]
        return f"({item})(,({item}))*", example
    if name in _FORMS:
        before, example = _FORMS[name]
        return before + allowed.pattern, example
    match allowed:
        case Choice():
            one = _one_of(allowed.values)
            is_list = isinstance(default, tuple)
            return f"({one})(,({one}))*" if is_list else one, _text(default or allowed.values[0])
        case Range() if isinstance(default, float):
            return decimals(allowed.low, allowed.high, above_low=allowed.above_low), _text(default)
        case Range():
            return whole_numbers(allowed.low, allowed.high), _text(default)
    if isinstance(default, bool):
        return "true|false", "true"
    raise ValueError(f"{name}: what values it takes is told by no entry here and no bounds in the configuration")


def _one_of(names: Sequence[str]) -> str:
    return "|".join(re.escape(name).replace(r"\-", "-") for name in names)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def decimals(low: int, high: int, *, above_low: bool = False) -> str:
    """Returns the pattern of the decimal numbers from `low` to `high`, also with an exponent as Python writes 0.00001.

    Args:
        low: at least 0.
        high: above `low`.
        above_low: whether `low` is left out; it must be 0 then.
    """
    parts = [rf"{high}(\.0+)?"]
    if low:
        parts.append(rf"({whole_numbers(low, high - 1)})(\.[0-9]+)?")
        return "|".join(parts)
    if high > 1:
        parts.append(rf"({whole_numbers(1, high - 1)})(\.[0-9]+)?")
    # Not so many zeros that nothing is left of what follows them.
    parts.append(r"0?\.0{0,250}[1-9][0-9]*")
    parts.append(r"[1-9](\.[0-9]+)?e-(0[1-9]|[1-9][0-9]|[12][0-9][0-9])")
    if not above_low:
        parts.append(r"0(\.0*)?")
    return "|".join(parts)


if __name__ == "__main__":
    print(json.dumps(template_metadata(), indent=2))
