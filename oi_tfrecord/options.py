"""Flags of the commands: ours, those that Beam owns, and an error for any other."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from oi_tfrecord.config import ConvertConfig
from oi_tfrecord.config_file import read_config
from oi_tfrecord.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class Command:
    """A parsed command line.

    Attributes:
      config: of the conversion.
      workers: local worker processes; 0 chooses.
      beam_arguments: flags that Beam owns, as given.
    """

    config: ConvertConfig
    workers: int
    beam_arguments: tuple[str, ...]


def define_convert_flags() -> flags.FlagValues:
    """Returns the flags of `convert`: one per field of ConvertConfig, and a few of the command's own."""
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "Configuration file, or the name of a shipped one (v3).", flag_values=values)
    flags.DEFINE_integer(
        "workers", 0, "Local worker processes; 0 chooses by the size of the input.", lower_bound=0, flag_values=values
    )
    for field in dataclasses.fields(ConvertConfig):
        description = field.metadata["help"]
        if isinstance(field.default, bool):
            flags.DEFINE_bool(field.name, None, description, flag_values=values)
        elif isinstance(field.default, float):
            flags.DEFINE_float(field.name, None, description, flag_values=values)
        elif isinstance(field.default, int):
            flags.DEFINE_integer(field.name, None, description, flag_values=values)
        elif isinstance(field.default, tuple):
            flags.DEFINE_list(field.name, None, description, flag_values=values)
        else:
            flags.DEFINE_string(field.name, None, description, flag_values=values)
    return values


def parse_convert(arguments: Sequence[str]) -> Command:
    """Parses the command line of `convert`.

    Args:
      arguments: without the program's name.

    Raises:
      ConfigError: for an unknown flag, naming the nearest known one, or a bad value.
    """
    values = define_convert_flags()
    try:
        rest = values(["convert", *arguments], known_only=True)[1:]
    except flags.Error as error:
        raise ConfigError("flags", str(error)) from error
    check_beam_arguments(rest, list(values))
    fields = [field.name for field in dataclasses.fields(ConvertConfig)]
    overrides: dict[str, Any] = {name: values[name].value for name in fields if values[name].value is not None}
    config = read_config(values["config"].value, overrides)
    return Command(config, int(values["workers"].value or 0), tuple(rest))


def describe_convert_flags() -> str:
    """Returns the help of the flags."""
    values = define_convert_flags()
    lines = []
    for name in values:
        flag = values[name]
        if flag.name == name:
            lines.append(f"  --{name}: {flag.help}")
    return "\n".join(lines)


def check_beam_arguments(arguments: Sequence[str], own_flags: Sequence[str]) -> None:
    """Checks that Beam knows each flag; Beam itself only warns of unknown ones.

    Args:
      arguments: what is left of the command line.
      own_flags: names of our flags, for the nearest known one.

    Raises:
      ConfigError: naming the first unknown flag.
    """
    if not arguments:
        return
    known = _beam_flags()
    takes_value = False
    for argument in arguments:
        if not argument.startswith("-"):
            if not takes_value:
                raise ConfigError("flags", f"{argument!r} is no flag")
            takes_value = False
            continue
        name, equals, _ = argument.partition("=")
        if name not in known:
            names = [*(f"--{flag}" for flag in own_flags), *known]
            raise ConfigError(name.lstrip("-"), f"is no flag of this command or of Beam{nearest(name, names)}")
        takes_value = not equals and known[name]


def _beam_flags() -> dict[str, bool]:
    """Returns Beam's flags, and whether each takes a value."""
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(add_help=False, allow_abbrev=False)
    pending = [PipelineOptions]
    while pending:
        options = pending.pop()
        pending.extend(options.__subclasses__())
        if options is not PipelineOptions and "_add_argparse_args" in vars(options):
            try:
                options._add_argparse_args(parser)
            except argparse.ArgumentError:
                continue
    return {
        name: action.nargs != 0 for action in parser._actions for name in action.option_strings if name.startswith("-")
    }
