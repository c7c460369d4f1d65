"""Writes the description of the Dataflow flex template: each parameter of `convert` and the form of its values.

`python -m templates.dataflow.make_metadata` writes `metadata.json`. Format: "Template metadata" in
cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates; the regular expressions are those of POSIX's
egrep. They check names and the form of a value. The launcher checks the rest: it parses the parameters into a
ConvertConfig before it writes a file or starts a worker.
"""

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from oi_tfrecord.settings.allowed_values import Choice, PathPattern, Text
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import Option, options_of
from oi_tfrecord.settings.yaml_file import shipped_configs

METADATA_FILE = pathlib.Path(__file__).with_name("metadata.json")

REQUIRED = ("config", "split", "data_dir", "output_dir", "sdk_container_image")

LEFT_OUT = ("dry_run", "max_images", "fetch", "mirror", "downloads")
"""Options that a template cannot have: it is one job, and the command ends before the job starts. Tables are fetched
to the bucket before (`oi-tfrecord fetch`)."""

_BUCKET = "gs://[a-z0-9][a-z0-9._-]+[a-z0-9]"

_FOLDER = f"{_BUCKET}(/.*)?"

_PATH = f"{_BUCKET}/.+"

_PATTERN = f'{_BUCKET}/[^,"]+'

_NAME = f'[^/:,"][^:,"]*|{_PATTERN}'
"""Relative to `data_dir`, or a pattern of paths."""

_NUMBERS = {int: "[0-9]+", float: "[0-9.]+(e-?[0-9]+)?"}
"""Kind of number to its regular expression."""

_TEXTS = {
    "release": (".*[^ ].*", "v3"),
    "data_dir": (_FOLDER, "gs://my-bucket/2017_11"),
    "output_dir": (_FOLDER, "gs://my-bucket/records"),
    "image_cache": ("/[^:]*", "/tmp/images"),
    "url_folders": (_FOLDER, "gs://my-bucket/images"),
    "label_map": (_PATH, "gs://my-bucket/label_map.pbtxt"),
    "image_ids": (_PATH, "gs://my-bucket/image_ids.txt"),
    "box_ids": (_PATH, "gs://my-bucket/box_ids.txt"),
    "max_rejects": ("[0-9.]+%?", "1%"),
}
"""Option to (regular expression, example)."""

_FORMS = {
    "split": ("", "train"),
    "images": (f"{_BUCKET}/", "gs://my-bucket/train/{image_id}.jpg"),
    "mask_files": (f"{_BUCKET}/", "gs://my-bucket/masks/{mask_path}"),
}
"""Option that the configuration checks by a pattern to (what precedes the pattern, example)."""

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
"""Option to (regular expression of an item, example)."""


def template_metadata() -> dict[str, Any]:
    """Returns the content of `metadata.json`."""
    config = _describe(
        "config", "Name of the release's configuration.", default="", regex=_any_of(shipped_configs()), example="v3"
    )
    image = _describe(
        "sdk_container_image",
        "Image of the workers, as made by templates/dataflow/Dockerfile.",
        default="",
        regex="[^ ]+",
        example="us-central1-docker.pkg.dev/my-project/my-repository/oi-tfrecord:TAG",
    )
    options = [_describe_option(option) for option in options_of(ConvertConfig) if option.name not in LEFT_OUT]
    return {
        "name": "Open Images to TFRecords",
        "description": "Converts a split of Open Images to TensorFlow training records.",
        "parameters": [config, *options, image],
    }


def _describe_option(option: Option) -> dict[str, Any]:
    regex, example = _form_of(option)
    default = "" if option.kind is tuple else _to_text(option.default)
    allowed = f" Allowed: {option.allowed.describe()}." if option.allowed else ""
    return _describe(option.flag, option.help + allowed, default=default, regex=regex, example=example)


def _describe(name: str, help_text: str, *, default: str, regex: str, example: str) -> dict[str, Any]:
    default = f" Default: {default}." if default else ""
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": f"{help_text}{default} Example: {example}",
        "paramType": "TEXT",
        "isOptional": name not in REQUIRED,
        "regexes": [f"^({regex})$"],
    }


def _form_of(option: Option) -> tuple[str, str]:
    """Returns the regular expression of an option's values, and an example.

    Raises:
        ValueError: for a text without an entry in the tables above, which a new option needs.
    """
    if option.name in _TEXTS:
        return _TEXTS[option.name]
    if option.name in _LISTS:
        item, example = _LISTS[option.name]
        return _list_of(item), example
    if isinstance(option.allowed, PathPattern):
        before, example = _FORMS[option.name]
        return "|".join((*option.allowed.names, before + option.allowed.path_pattern)), example
    if isinstance(option.allowed, Text):
        before, example = _FORMS[option.name]
        return before + option.allowed.pattern, example
    if option.kind is bool:
        return "true|false", "true"
    if option.kind in _NUMBERS:
        return _NUMBERS[option.kind], _to_text(option.default)
    if isinstance(option.allowed, Choice):
        names = _any_of(option.allowed.values)
        example = _to_text(option.default or option.allowed.values[0])
        return (_list_of(names) if option.kind is tuple else names), example
    raise ValueError(f"{option.name}: give its form in _TEXTS, _LISTS or _FORMS of {__name__}")


def _any_of(names: Sequence[str]) -> str:
    return "|".join(re.escape(name).replace(r"\-", "-") for name in names)


def _list_of(item: str) -> str:
    return f"({item})(,({item}))*"


def _to_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Writes `metadata.json`."""
    METADATA_FILE.write_text(json.dumps(template_metadata(), indent=2) + "\n")


if __name__ == "__main__":
    main()
