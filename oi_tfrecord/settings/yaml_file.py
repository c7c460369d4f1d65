"""Configuration files: YAML with the fields of ConvertConfig, found by path or by the name of a shipped one."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.settings.convert_config import ConvertConfig


def read_config(name: str | None, overrides: Mapping[str, Any]) -> ConvertConfig:
    """Makes the configuration from `--config` and flags; see `find_config` and `load_config`."""
    if name is None:
        return load_config("", "flags", overrides)
    found = find_config(name)
    return load_config(found.read_bytes(), str(found), overrides)


def load_config(text: str | bytes, path: str, overrides: Mapping[str, Any]) -> ConvertConfig:
    """Makes the configuration from a YAML file and flags.

    What the key `classification` holds counts if that is the task: classes and label files differ.

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
    of_classification = loaded.pop("classification", {})
    if not isinstance(of_classification, dict):
        raise ConfigError("classification", f"must hold the keys that it changes ({path})")
    values, changed = _values(loaded, path), _values(of_classification, path)
    given = _values(overrides, "flags")
    if (values | given).get("task") == "classification":
        values |= changed
    return ConvertConfig(**(values | given))


def _values(loaded: Mapping[Any, Any], path: str) -> dict[str, Any]:
    fields = {field.name: field for field in dataclasses.fields(ConvertConfig)}
    values = {}
    for key, value in loaded.items():
        if key not in fields:
            raise ConfigError(str(key), f"is no configuration key ({path}){nearest(str(key), fields)}")
        values[key] = _typed(key, value, fields[key].default)
    return values


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
    for folder in _shipped_folders(kind):
        candidate = folder / (given.name if given.suffix else given.name + ".yaml")
        if candidate.is_file():
            return candidate
    known = shipped_configs(kind)
    field = "runner_config" if kind else "config"
    raise ConfigError(field, f"no file {name!r}; shipped are {', '.join(known)}{nearest(given.stem, known)}")


def shipped_configs(kind: str = "") -> list[str]:
    """Returns the names of the configurations shipped with the package; `kind` is as in `find_config`."""
    return sorted({path.stem for folder in _shipped_folders(kind) for path in folder.glob("*.yaml")})


def _shipped_folders(kind: str) -> list[pathlib.Path]:
    here = pathlib.Path(__file__).parents[1]
    return [folder / kind for folder in (here / "configs", here.parent / "configs") if folder.is_dir()]


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
