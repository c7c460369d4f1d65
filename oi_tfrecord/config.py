"""The configuration of a conversion: one typed value, from a YAML file and flags."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any, get_args

import yaml

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.label_map import Order
from oi_tfrecord.record_keys import ExtraKeys, UrlKind
from oi_tfrecord.sharding import MAX_SHARDS
from oi_tfrecord.tables import FLAGS, Table

DRIVERS = (Table.METADATA, Table.BOXES, Table.HUMAN_LABELS)
SELECTIONS = ("boxed", "labelled", "all")
IMAGE_MODES = ("copy", "verify")
HIERARCHY_USES = ("expand", "label_map")
IMAGE_SOURCES = ("images", "archives", "image_urls", "url_folders")


def _setting(default: Any, description: str, *, shapes_output: bool = True) -> Any:
    return dataclasses.field(default=default, metadata={"help": description, "shapes_output": shapes_output})


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Everything that decides what a conversion reads and writes.

    Every field is a key of the YAML file and a flag of the same name; a flag wins. File names may
    hold `{split}` and are relative to `data_dir` unless they are absolute or have a scheme; of the
    names given for one file, the first that exists is read, also with `.gz` or `.bz2` added.
    """

    release: str = _setting("", "Name of the release, kept in the manifest.")
    split: str = _setting("", "Split to convert: train, validation or test.")
    data_dir: str = _setting("", "Folder of the CSV and class files.", shapes_output=False)
    output_dir: str = _setting("", "Folder for records, label map, manifest and rejects.", shapes_output=False)
    images: str = _setting("", "Path of an image, with {image_id} and, if needed, {split}.")
    archives: tuple[str, ...] = _setting((), "Archives of the images (tar, tar.gz, zip), patterns with {split}.")
    image_urls: str = _setting("", "Download the images from the metadata's URLs: original or thumbnail.")
    image_cache: str = _setting("", "Local folder that keeps what image_urls downloads.", shapes_output=False)
    url_folders: str = _setting("", "Folder of images stored as <first 3 characters>/<base name of OriginalURL>.")
    fetch_connections: int = _setting(64, "Connections of a worker that downloads, in total.", shapes_output=False)
    fetch_per_host: int = _setting(16, "Connections of a worker to one host.", shapes_output=False)
    fetch_attempts: int = _setting(5, "Requests for an image before it is given up.", shapes_output=False)
    fetch_timeout: float = _setting(300.0, "Bound on one request, in seconds.", shapes_output=False)
    metadata: tuple[str, ...] = _setting((), "Names of the metadata CSV (images.csv).")
    boxes: tuple[str, ...] = _setting((), "Names of the box CSV.")
    human_labels: tuple[str, ...] = _setting((), "Names of the CSV of human-verified image labels.")
    machine_labels: tuple[str, ...] = _setting((), "Names of the CSV of machine-generated image labels.")
    class_descriptions: tuple[str, ...] = _setting((), "Names of the CSV of MIDs and display names.")
    class_list: tuple[str, ...] = _setting((), "Names of the list of classes that make the label map.")
    driver: str = _setting("metadata", "Table whose ImageIDs are the images: metadata, boxes or human_labels.")
    select: str = _setting("boxed", "Images to write: boxed (with a box), labelled (with a box or human label), all.")
    label_order: str = _setting("list", "Order of label map ids: list, mid or frequency.")
    label_map: str = _setting("", "Existing label map (.pbtxt) whose ids are kept.")
    append_classes: bool = _setting(False, "Give classes that label_map lacks the ids after its highest.")
    hierarchy: tuple[str, ...] = _setting((), "Names of the class hierarchy (bbox_labels_600_hierarchy.json).")
    hierarchy_use: str = _setting(
        "expand", "expand boxes and labels by the hierarchy, or name relatives in the label_map."
    )
    subset: tuple[str, ...] = _setting((), "Values of the metadata's Subset column to keep; all by default.")
    classes: tuple[str, ...] = _setting((), "Classes to keep: MIDs, names, or one file with a MID or name per line.")
    box_sources: tuple[str, ...] = _setting((), "Values of the boxes' Source column to keep; all by default.")
    exclude_flags: tuple[str, ...] = _setting((), "Leave out boxes with these flags set: " + ", ".join(FLAGS) + ".")
    min_confidence: float = _setting(0.0, "Least confidence of boxes and machine labels, 0 to 1.")
    min_box_side: float = _setting(0.0, "Least shorter side of a box, as a fraction of the image's, 0 to 1.")
    image_ids: str = _setting("", "File with the ImageIDs to keep, one per line.")
    sample: float = _setting(1.0, "Share of the images to keep, chosen by hash, above 0 to 1.")
    max_images: int = _setting(0, "Keep at most this many images, chosen by hash; 0 keeps all.")
    extra_keys: tuple[str, ...] = _setting((), "Groups of further keys: " + ", ".join(ExtraKeys) + ".")
    num_shards: int = _setting(0, "Number of shards; 0 plans shards of about 150 MB.")
    dry_run: bool = _setting(False, "Join and count, but read no image and write no record.", shapes_output=False)
    image_mode: str = _setting("copy", "copy (check headers, copy bytes) or verify (decode every image).")
    max_image_bytes: int = _setting(64 << 20, "Largest image file taken, in bytes.")
    max_image_pixels: int = _setting(178_956_970, "Largest image taken, in pixels.")
    max_rejects: str = _setting("1%", "Rejects of a kind allowed: a count, or a percentage.", shapes_output=False)
    csv_block_mb: int = _setting(32, "Size of the CSV ranges, in MiB; bounds the memory of a reader.")
    read_threads: int = _setting(0, "Images read at once by a worker; 0 chooses by storage.", shapes_output=False)
    overwrite: bool = _setting(False, "Replace what is in output_dir for this split.", shapes_output=False)

    def __post_init__(self) -> None:
        _check_choice("driver", self.driver, DRIVERS)
        _check_choice("select", self.select, SELECTIONS)
        _check_choice("label_order", self.label_order, get_args(Order))
        _check_choice("hierarchy_use", self.hierarchy_use, HIERARCHY_USES)
        _check_choice("image_mode", self.image_mode, IMAGE_MODES)
        for flag in self.exclude_flags:
            _check_choice("exclude_flags", flag, tuple(FLAGS))
        _check_range("min_confidence", self.min_confidence, 0, 1)
        _check_range("min_box_side", self.min_box_side, 0, 1)
        _check_range("max_images", self.max_images, 0, 1 << 48)
        if not 0 < self.sample <= 1:
            raise ConfigError("sample", f"{self.sample} is not above 0 and at most 1")
        for group in self.extra_keys:
            _check_choice("extra_keys", group, tuple(ExtraKeys))
        _check_range("num_shards", self.num_shards, 0, MAX_SHARDS)
        _check_range("csv_block_mb", self.csv_block_mb, 1, 1024)
        _check_range("read_threads", self.read_threads, 0, 1024)
        _check_range("max_image_bytes", self.max_image_bytes, 1, (1 << 31) - (1 << 20))
        _check_range("max_image_pixels", self.max_image_pixels, 1, 1 << 40)
        if self.images and "{image_id}" not in self.images:
            raise ConfigError("images", f"{self.images!r} has no {{image_id}}, so every image would be the same file")
        if self.image_urls:
            _check_choice("image_urls", self.image_urls, tuple(UrlKind))
        if self.image_cache and "://" in self.image_cache:
            raise ConfigError("image_cache", f"{self.image_cache!r} is not a folder of this machine")
        _check_range("fetch_connections", self.fetch_connections, 1, 1024)
        _check_range("fetch_per_host", self.fetch_per_host, 1, 1024)
        _check_range("fetch_attempts", self.fetch_attempts, 1, 100)
        _check_range("fetch_timeout", self.fetch_timeout, 1, 86_400)
        if self.split and not re.fullmatch(r"[A-Za-z0-9_-]+", self.split):
            raise ConfigError("split", f"{self.split!r} may hold only letters, digits, - and _")
        if self.append_classes and not self.label_map:
            raise ConfigError("append_classes", "is of use with label_map only, the map to append to")
        parse_max_rejects(self.max_rejects)

    def check_complete(self) -> None:
        """Checks that what a conversion cannot do without is there.

        Raises:
          ConfigError: naming the first field that is missing.
        """
        for field in ("split", "data_dir", "output_dir", "class_descriptions"):
            if not getattr(self, field):
                raise ConfigError(field, f"is needed; give --{field}")
        given = [field for field in IMAGE_SOURCES if getattr(self, field)]
        if not given:
            raise ConfigError("images", f"is needed; give --images or one of {', '.join(IMAGE_SOURCES[1:])}")
        if len(given) > 1:
            raise ConfigError(given[1], f"is one place of the images too many, as {given[0]} is given too")
        if self.image_urls and not self.image_cache:
            raise ConfigError("image_cache", "is needed with image_urls, so that no image is downloaded twice")
        if (self.image_urls or self.url_folders) and not self.metadata:
            raise ConfigError("metadata", f"is needed with {given[0]}, as the URLs are in it; give --metadata")
        if not getattr(self, self.driver):
            raise ConfigError(self.driver, f"is needed, as it is the driver; give --{self.driver} or another --driver")

    def shaping(self) -> dict[str, Any]:
        """Returns the fields that decide the bytes of the output, for the fingerprint and the manifest."""
        fields = dataclasses.fields(self)
        return {field.name: getattr(self, field.name) for field in fields if field.metadata["shapes_output"]}


def parse_max_rejects(text: str) -> tuple[float, bool]:
    """Parses `--max_rejects`.

    Args:
      text: a count (`100`) or a percentage (`1%`, `0.5%`).

    Returns:
      (limit, whether it is a percentage).

    Raises:
      ConfigError: naming the field.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    if not match or (not match[2] and "." in match[1]):
        raise ConfigError("max_rejects", f"{text!r} is neither a count (100) nor a percentage (1%)")
    limit = float(match[1])
    if match[2] and limit > 100:
        raise ConfigError("max_rejects", f"{text!r} is over 100%")
    return limit, bool(match[2])


def read_config(name: str | None, overrides: Mapping[str, Any]) -> ConvertConfig:
    """Makes the configuration from `--config` and flags; see `find_config` and `load_config`."""
    if name is None:
        return load_config("", "flags", overrides)
    found = find_config(name)
    return load_config(found.read_bytes(), str(found), overrides)


def load_config(text: str | bytes, path: str, overrides: Mapping[str, Any]) -> ConvertConfig:
    """Makes the configuration from a YAML file and flags.

    Args:
      text: contents of the YAML file, in UTF-8 if bytes; empty for none.
      path: its name, for errors.
      overrides: field name to value, from flags; they win.

    Returns:
      The configuration, checked.

    Raises:
      ConfigError: naming the key, and the nearest known one if it is unknown.
    """
    try:
        loaded = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(path, f"is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(path, "must hold keys and values at the top level")
    fields = {field.name: field for field in dataclasses.fields(ConvertConfig)}
    values: dict[str, Any] = {}
    for key, value in loaded.items():
        if key not in fields:
            raise ConfigError(str(key), f"is no configuration key ({path}){nearest(str(key), fields)}")
        values[key] = _typed(key, value, fields[key].default)
    values.update({key: _typed(key, value, fields[key].default) for key, value in overrides.items()})
    return ConvertConfig(**values)


def find_config(name: str, kind: str = "") -> pathlib.Path:
    """Returns the file of `--config`: a path, or the name of a configuration shipped with the package.

    Args:
      name: as given.
      kind: folder of the shipped ones within `configs`, empty for those of releases.

    Raises:
      ConfigError: when there is no such file.
    """
    given = pathlib.Path(name)
    if given.is_file():
        return given
    here = pathlib.Path(__file__).parent
    shipped = [folder / kind for folder in (here / "configs", here.parent / "configs") if folder.is_dir()]
    for folder in shipped:
        candidate = folder / (given.name if given.suffix else given.name + ".yaml")
        if candidate.is_file():
            return candidate
    known = sorted(path.stem for folder in shipped for path in folder.glob("*.yaml"))
    field = "runner_config" if kind else "config"
    raise ConfigError(field, f"no file {name!r}; shipped are {', '.join(known)}{nearest(given.stem, known)}")


def _typed(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise ConfigError(key, f"{value!r} is not true or false")
    if isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise ConfigError(key, f"{value!r} is not a whole number")
    if isinstance(default, float):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise ConfigError(key, f"{value!r} is not a number")
    if isinstance(default, tuple):
        items = [value] if isinstance(value, str) else value
        if isinstance(items, (list, tuple)) and all(isinstance(item, str) for item in items):
            return tuple(items)
        raise ConfigError(key, f"{value!r} is not a list of texts")
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise ConfigError(key, f"{value!r} is not a text")


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(field, f"{value!r} is none of {', '.join(map(str, choices))}{nearest(value, choices)}")


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(field, f"{value} is not within {low} to {high}")
