"""Configuration files: YAML with the options of ConvertConfig, found by path or by the name of a shipped file."""

import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import options_of

_MAX_LENGTH = 1 << 20
"""Bytes of a configuration at most; PyYAML takes minutes for megabytes."""


def read_config(name: str | None, overrides: Mapping[str, Any] = {}) -> ConvertConfig:
    """Makes the configuration from `--config` and flags.

    Args:
        name: value of `--config`, as in `find_config`; None for flags alone.
        overrides: as in `load_config`.

    Raises:
        ConfigError: as `find_config` and `load_config`.
    """
    if name is None:
        return load_config("", "flags", overrides)
    found = find_config(name)
    return load_config(found.read_bytes(), str(found), overrides)


def load_config(text: str | bytes, path: str, overrides: Mapping[str, Any]) -> ConvertConfig:
    """Makes the configuration from a YAML file and flags.

    The key `classification` holds keys that replace those of the file when that is the task.

    Args:
        text: contents of the YAML file, in UTF-8 if bytes; empty for none.
        path: name of the file, for errors.
        overrides: option to value, from flags; these win.

    Returns:
        The configuration, with each value checked.

    Raises:
        ConfigError: naming the key, and the nearest known one if the key is unknown.
    """
    loaded = load_mapping(text, path)
    for_classification = loaded.pop("classification", {})
    if not isinstance(for_classification, dict):
        raise ConfigError("classification", f"must hold keys and values ({path})")
    given = _values_of(overrides, "flags", "")
    split = str(given.get("split", loaded.get("split", "")))
    values, classification_values = (_values_of(part, path, split) for part in (loaded, for_classification))
    if (values | given).get("task") == "classification":
        values |= classification_values
    return ConvertConfig(**(values | given))


def load_mapping(text: str | bytes, path: str) -> dict[str, Any]:
    """Returns the keys and values of a YAML file.

    Args:
        text: contents of the file, in UTF-8 if bytes.
        path: name of the file, for errors.

    Raises:
        ConfigError: naming the file, if it holds anything else.
    """
    if len(text) > _MAX_LENGTH:
        raise ConfigError(path, f"is longer than {_MAX_LENGTH:,} bytes, and so no configuration")
    try:
        loaded = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(path, f"is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(path, "too many values are nested in each other") from error
    if not isinstance(loaded, dict):
        raise ConfigError(path, "must hold keys and values at the top level")
    return loaded


_BY_SPLIT = ("select",)
"""Options that may have a value for each split."""


def _values_of(loaded: Mapping[Any, Any], path: str, split: str) -> dict[str, Any]:
    """Returns the values of options, checked one by one, also those that a flag replaces.

    Args:
        loaded: option to value, or for those of _BY_SPLIT to a mapping of splits to values; an option without a value
            for `split` is left out.
        path: name of the file, for errors.
        split: the split that is converted.
    """
    options = {option.name: option for option in options_of(ConvertConfig)}
    values = {}
    for key, value in loaded.items():
        if key not in options:
            raise ConfigError(str(key), f"is no configuration key ({path}){nearest(str(key), options)}")
        by_split = value if key in _BY_SPLIT and isinstance(value, dict) else {split: value}
        of_kind = {name: _to_kind(options[key].kind, of_split) for name, of_split in by_split.items()}
        for of_split in of_kind.values():
            ConvertConfig(**{key: of_split})
        if split in of_kind:
            values[key] = of_kind[split]
    return values


def _to_kind(kind: type, value: Any) -> Any:
    """Converts what YAML may write instead of a kind: one text for a list, a whole number for a number or a text."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is tuple and isinstance(value, str):
        return (value,)
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    return kind(value) if is_number and kind in (float, str) else value


def find_config(name: str, kind: str = "") -> pathlib.Path:
    """Returns the file of `--config`: a path, or the name of a configuration shipped with the package.

    Args:
        name: the path or the name.
        kind: folder of the shipped configurations within `configs`; empty for those of releases.

    Returns:
        Path of the file.

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


def find_shipped_file(name: str) -> pathlib.Path:
    """Returns the path of a file that is shipped beside the configurations, such as `downloads.csv`."""
    return next(path for folder in _shipped_folders("") if (path := folder / name).is_file())


def shipped_configs(kind: str = "") -> list[str]:
    """Returns the names of the configurations shipped with the package; `kind` is as in `find_config`."""
    return sorted({path.stem for folder in _shipped_folders(kind) for path in folder.glob("*.yaml")})


def _shipped_folders(kind: str) -> list[pathlib.Path]:
    here = pathlib.Path(__file__).parents[1]
    return [folder / kind for folder in (here / "configs", here.parent / "configs") if folder.is_dir()]
