"""The YAML file of `--runner_config`: flags of Beam for one runner, checked as on the command line."""

import argparse
from collections.abc import Sequence
from typing import Any

from oi_tfrecord.engine.beam_flags import check_value, destination, find_known_flags, is_dataflow
from oi_tfrecord.engine.job_server import BOOLEAN
from oi_tfrecord.errors import ConfigError, nearest

FOLDER = "runners"
"""Folder of the shipped files, within that of the configurations."""


_DATAFLOW = "dataflow"
"""The runner configuration of jobs on Dataflow that name none."""


def combine_runner_flags(name: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """Returns Beam's flags of a command: those of its runner configuration, and those of its command line.

    Args:
        name: as of `read_runner_config`; empty for none, which stands for that of Dataflow if a flag names Dataflow.
        arguments: Beam's flags of the command line.

    Raises:
        ConfigError: as of `read_runner_config`.
    """
    # The launcher of a flex template names the runner alone.
    name = name or (_DATAFLOW if is_dataflow(arguments) else "")
    return read_runner_config(name, arguments) if name else tuple(arguments)


def find_job_endpoint(name: str) -> str:
    """Returns the job server that a runner configuration names; empty for none.

    Args:
        name: as of `read_runner_config`; empty for no runner configuration.
    """
    if not name:
        return ""
    # Most commands name no such file, and these imports take longer than their help.
    from oi_tfrecord.settings.yaml_file import find_config

    found = find_config(name, FOLDER)
    return str(_load(found.read_bytes(), str(found)).get("job_endpoint", ""))


def read_runner_config(name: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """Returns the flags of a runner configuration before those of the command line, which win.

    Args:
        name: a path, or the name of a shipped file (dataflow).
        arguments: Beam's flags of the command line. A flag that is given there replaces the file's, also if it takes
            several values.

    Raises:
        ConfigError: naming the key, and the nearest known one if it is unknown.
    """
    from oi_tfrecord.settings.yaml_file import find_config

    found = find_config(name, FOLDER)
    given = {destination(argument) for argument in arguments if argument.startswith("-")}
    parsed = parse_runner_config(found.read_bytes(), str(found))
    return (*(flag for flag in parsed if destination(flag) not in given), *arguments)


def parse_runner_config(text: str | bytes, path: str) -> list[str]:
    """Returns the flags that a runner configuration stands for.

    Args:
        text: YAML. A key is the name of a flag; a list gives the flag several times, true gives it without a value.
        path: path of the file, for errors.

    Raises:
        ConfigError: for an unknown key or a value that the flag does not take.
    """
    loaded = _load(text, path)
    flags_given = [f"--{key}=" for key in loaded]
    known = {
        name.removeprefix("--"): action
        for name, action in find_known_flags(flags_given, str(loaded.get("job_endpoint", ""))).items()
    }
    flags: list[str] = []
    for key, value in loaded.items():
        if (action := known.get(str(key))) is None:
            raise ConfigError(str(key), f"is not a flag of Beam ({path}){nearest(str(key), known)}")
        flags += _flags_of(str(key), value, action)
    return flags


def _load(text: str | bytes, path: str) -> dict[str, Any]:
    import yaml

    try:
        loaded = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(path, f"is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(path, "too many values are nested in each other") from error
    if not isinstance(loaded, dict):
        raise ConfigError(path, "must hold keys and values at the top level")
    return loaded


def _flags_of(key: str, value: Any, action: argparse.Action) -> list[str]:
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(key, f"{value!r} is not true or false, and the flag takes no value")
        return [f"--{key}"] if value else []
    several = isinstance(value, list)
    if several and type(action).__name__ == "_StoreAction":
        raise ConfigError(key, f"{value!r} is a list, and the flag takes one value")
    return [f"--{key}={_text(key, item, action)}" for item in (value if several else [value])]


def _text(key: str, value: Any, action: argparse.Action) -> str:
    if isinstance(value, (dict, list)) or value is None:
        raise ConfigError(key, f"{value!r} is not a single value")
    # YAML reads true as Python's True, but a job server takes the word in lower case.
    text = str(value).lower() if action.choices == BOOLEAN else str(value)
    check_value(key, text, action)
    return text
