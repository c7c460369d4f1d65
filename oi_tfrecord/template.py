"""The description of the Dataflow flex template: each parameter of `convert`, with what its value may be.

`python -m oi_tfrecord.template > templates/dataflow/metadata.json` writes it. Format: "Template metadata" in
cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates; a value must match one regex in whole.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any, get_args

from oi_tfrecord.config import (
    BOXES_WITHOUT_MASK,
    DRIVERS,
    HIERARCHY_USES,
    ROTATIONS,
    SELECTIONS,
    SOURCE_IDS,
    TASKS,
    ConvertConfig,
)
from oi_tfrecord.image_values import CHROMAS, MODES
from oi_tfrecord.label_map import Order
from oi_tfrecord.record_keys import ExtraKeys, UrlKind
from oi_tfrecord.tables import FLAGS

REQUIRED = ("config", "split", "data_dir", "output_dir")

_CHOICES: dict[str, Sequence[str]] = {
    "driver": DRIVERS,
    "select": SELECTIONS,
    "label_order": get_args(Order),
    "hierarchy_use": HIERARCHY_USES,
    "image_mode": MODES,
    "chroma": CHROMAS,
    "task": TASKS,
    "boxes_without_mask": BOXES_WITHOUT_MASK,
    "rotation": ROTATIONS,
    "source_id": SOURCE_IDS,
    "image_urls": tuple(UrlKind),
}
_LISTS_OF_CHOICES: dict[str, Sequence[str]] = {"exclude_flags": tuple(FLAGS), "extra_keys": tuple(ExtraKeys)}
_TEXTS = {
    "config": (r"(.*/)?[A-Za-z0-9_.-]+", "v3"),
    "split": (r"[A-Za-z0-9_-]+", "train"),
    "data_dir": (r"gs://.+", "gs://BUCKET/2017_11"),
    "output_dir": (r"gs://.+", "gs://BUCKET/records"),
    "images": (r".*\{image_id\}.*", "gs://BUCKET/train/{image_id}.jpg"),
    "image_cache": (r"/.+", "/tmp/images"),
    "mask_files": (r".*\{mask_path\}.*", "gs://BUCKET/masks/{mask_path}"),
    "url_folders": (r"gs://.+", "gs://BUCKET/images"),
    "max_rejects": (r"[0-9]+|[0-9]+(\.[0-9]+)?%", "1%"),
    "sdk_container_image": (r"\S+", "REGION-docker.pkg.dev/PROJECT/REPOSITORY/oi-tfrecord:0.1.0"),
}
"""Field to (regex, example)."""
_EXAMPLES = {
    "release": "v3",
    "archives": "gs://BUCKET/tar/train_*.tar.gz",
    "metadata": "{split}/images.csv",
    "boxes": "{split}/annotations-human-bbox.csv",
    "human_labels": "{split}/annotations-human.csv",
    "machine_labels": "{split}/annotations-machine.csv",
    "masks": "{split}-annotations-object-segmentation.csv",
    "mask_archives": "gs://BUCKET/{split}-masks-*.zip",
    "class_descriptions": "class-descriptions.csv",
    "class_list": "classes-bbox-trainable.txt",
    "label_map": "gs://BUCKET/label_map.pbtxt",
    "hierarchy": "bbox_labels_600_hierarchy.json",
    "subset": "train",
    "classes": "/m/01g317,/m/0bt9lr",
    "box_sources": "xclick,activemil",
    "image_ids": "gs://BUCKET/image_ids.txt",
}


def template_metadata() -> dict[str, Any]:
    """Returns the content of `metadata.json`."""
    parameters = [_describe("config", "Name of the release's configuration (v1 to v7).", "", *_TEXTS["config"])]
    for field in dataclasses.fields(ConvertConfig):
        regex, example = _values_of(field.name, field.default)
        default = "" if isinstance(field.default, tuple) else _text(field.default)
        parameters.append(_describe(field.name, field.metadata["help"], default, regex, example))
    image = "Image of the workers, as made by templates/dataflow/Dockerfile."
    parameters.append(_describe("sdk_container_image", image, "", *_TEXTS["sdk_container_image"]))
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


def _values_of(name: str, default: Any) -> tuple[str, str]:
    """Returns the regex of a field's values, and an example."""
    if name in _TEXTS:
        return _TEXTS[name]
    if name in _CHOICES:
        return "|".join(map(re.escape, _CHOICES[name])), _text(default) or str(_CHOICES[name][0])
    if name in _LISTS_OF_CHOICES:
        one = f"({'|'.join(map(re.escape, _LISTS_OF_CHOICES[name]))})"
        return f"{one}(,{one})*", str(_LISTS_OF_CHOICES[name][0])
    if isinstance(default, bool):
        return "true|false", "true"
    if isinstance(default, int):
        return "[0-9]+", _text(default)
    if isinstance(default, float):
        return r"[0-9]+(\.[0-9]+)?", _text(default)
    return r"\S(.*\S)?", _EXAMPLES[name]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    print(json.dumps(template_metadata(), indent=2))
