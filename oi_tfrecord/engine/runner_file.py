"""The YAML file of `--runner_config`: flags of Beam for one runner, checked as on the command line."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from oi_tfrecord.engine.beam_flags import check_value, destination, find_known_flags, is_dataflow
from oi_tfrecord.engine.job_server import BOOLEAN
from oi_tfrecord.errors import ConfigError, nearest

FOLDER = "runners"
"""Folder of the shipped files, within that of the configurations."""


_DATAFLOW = "dataflow"
"""The runner configuration of jobs on Dataflow that name none."""


@dataclasses.dataclass(frozen=True)
class RunnerFile:
    """A runner configuration.

    Attributes:
        path: of the file; empty for no file.
        values: key to value. A key is the name of a flag; a list gives the flag several times, true gives it without a
            value.
    """

    path: str = ""
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def job_endpoint(self) -> str:
        """The job server; empty for none."""
        return str(self.values.get("job_endpoint", ""))

    def flags(self) -> list[str]:
        """Returns the flags that the configuration stands for.

        Raises:
            ConfigError: naming the key, and the nearest known one if it is unknown, or that has a bad value.
        """
        flags_given = [f"--{key}=" for key in self.values]
        found = find_known_flags(flags_given, self.job_endpoint)
        known = {name.removeprefix("--"): action for name, action in found.items()}
        flags: list[str] = []
        for key, value in self.values.items():
            if (action := known.get(str(key))) is None:
                raise ConfigError(str(key), f"is not a flag of Beam ({self.path}){nearest(str(key), known)}")
            flags += _flags_of(str(key), value, action)
        return flags


def read_runner_file(name: str) -> RunnerFile:
    """Returns the runner configuration of `--runner_config`.

    Args:
        name: a path, or the name of a shipped file (dataflow); empty for none.

    Raises:
        ConfigError: if there is no such file, or the file holds no keys and values.
    """
    if not name:
        return RunnerFile()
    # Most commands name no such file, and these imports take longer than their help.
    from oi_tfrecord.settings.yaml_file import find_config, load_mapping

    found = find_config(name, FOLDER)
    return RunnerFile(str(found), load_mapping(found.read_bytes(), str(found)))


def combine_runner_flags(file: RunnerFile, arguments: Sequence[str]) -> tuple[str, ...]:
    """Returns the flags of a runner configuration before those of the command line, which win.

    Args:
        file: the configuration; none stands for that of Dataflow if a flag names Dataflow.
        arguments: Beam's flags of the command line. A flag that is given there replaces the file's, also if it takes
            several values.

    Raises:
        ConfigError: as of `RunnerFile.flags`.
    """
    # The launcher of a flex template names the runner alone.
    used = read_runner_file(_DATAFLOW) if not file.path and is_dataflow(arguments) else file
    if not used.values:
        # A command without any of Beam's flags need not wait for Beam's import.
        return tuple(arguments)
    given = {destination(argument) for argument in arguments if argument.startswith("-")}
    return (*(flag for flag in used.flags() if destination(flag) not in given), *arguments)


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
