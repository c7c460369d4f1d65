"""Flags of the commands: ours, those that Beam owns, and an error for any other."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from oi_tfrecord.conversion.dry_run.prices import NO_PRICES, PRICED_REQUESTS, Prices, parse_prices
from oi_tfrecord.engine.beam_flags import check_beam_arguments, is_dataflow, value_of
from oi_tfrecord.engine.runner_file import read_runner_config
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.yaml_file import read_config

_DATAFLOW = "dataflow"
"""The runner configuration of jobs on Dataflow that name none."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A parsed command line.

    Attributes:
        config: of the conversion.
        workers: ranges or shards that this machine works on at once; 0 chooses.
        beam_arguments: flags that Beam owns, those of the runner configuration first.
        beam_dry_run: whether to build the job only, as Beam's `--dry_run` does.
        prices: what `--dry_run` multiplies with.
    """

    config: ConvertConfig
    workers: int
    beam_arguments: tuple[str, ...]
    beam_dry_run: bool = False
    prices: Prices = NO_PRICES


def define_command_flags() -> flags.FlagValues:
    """Returns the flags of `convert` that are no field of ConvertConfig, as they do not decide what is written."""
    values = flags.FlagValues()
    flags.DEFINE_string("config", None, "Configuration file, or the name of a shipped one (v3).", flag_values=values)
    flags.DEFINE_string(
        "runner_config",
        None,
        "File of Beam's flags, or the name of a shipped one; dataflow with --runner=DataflowRunner.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "beam_dry_run", False, "Build and check the job of a remote runner (Beam's --dry_run).", flag_values=values
    )
    flags.DEFINE_integer(
        "workers",
        0,
        "Ranges and shards that this machine works on at once, a core each; 0 chooses.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_list(
        "prices",
        [],
        "Prices for the cost that --dry_run prints: worker_hour=PRICE (a core for an hour), shuffle_gb=PRICE (a GB of "
        f"rows), reads=PRICE and writes=PRICE ({PRICED_REQUESTS:,} requests to object stores), separated by commas.",
        flag_values=values,
    )
    return values


def define_convert_flags() -> flags.FlagValues:
    """Returns the flags of `convert`: one per field of ConvertConfig, and a few of the command's own."""
    values = define_command_flags()
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
    # The launcher of a flex template names the runner alone.
    if runner_config := values["runner_config"].value or (_DATAFLOW if is_dataflow(rest) else ""):
        rest = list(read_runner_config(runner_config, rest))
    if values["beam_dry_run"].value:
        # Beam calls it --dry_run, as this command calls something else.
        rest.append("--dry_run=True")
    beam_dry_run = value_of(rest, "--dry_run") == "True"
    if beam_dry_run and not is_dataflow(rest):
        raise ConfigError("beam_dry_run", "is of use with --runner=DataflowRunner only, as others would run the job")
    fields = [field.name for field in dataclasses.fields(ConvertConfig)]
    overrides: dict[str, Any] = {name: values[name].value for name in fields if values[name].value is not None}
    config = read_config(values["config"].value, overrides)
    prices = parse_prices(values["prices"].value or ())
    return Command(config, int(values["workers"].value or 0), tuple(rest), beam_dry_run, prices)


def describe_convert_flags() -> str:
    """Returns the help of the flags."""
    values = define_convert_flags()
    lines = []
    for name in values:
        flag = values[name]
        if flag.name == name:
            lines.append(f"  --{name}: {flag.help}")
    return "\n".join(lines)
