"""The description of the Dataflow flex template: each parameter of `convert`, with what its value may be.

`python -m oi_tfrecord.template > templates/dataflow/metadata.json` writes it. Format: "Template metadata" in
cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates; the regexes are those of POSIX's egrep.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

from oi_tfrecord.allowed_values import Choice, Range
from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.config_file import shipped_configs
from oi_tfrecord.number_patterns import decimals, whole_numbers

REQUIRED = ("config", "split", "data_dir", "output_dir", "sdk_container_image")
LEFT_OUT = ("dry_run", "max_images")
"""Settings of the command that a template's one job, which runs after the command has ended, cannot have."""

_BUCKET = "gs://[a-z0-9][a-z0-9._-]+[a-z0-9]"
_FOLDER = f"{_BUCKET}(/.*)?"
_PATH = f"{_BUCKET}/.+"
_PATTERN = f'{_BUCKET}/[^,"]+'
_NAME = f'[^/:,"][^:,"]*|{_PATTERN}'
"""Relative to `data_dir`, or a pattern of paths."""

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


if __name__ == "__main__":
    print(json.dumps(template_metadata(), indent=2))
