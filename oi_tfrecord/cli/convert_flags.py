"""The flags of `convert`: the configuration, and how the conversion is run."""

import dataclasses
from collections.abc import Sequence

from oi_tfrecord.cli.flags import ParsedFlags, parse_flags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.engine.beam_flags import is_dataflow, value_of
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Range
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.settings.options import Group, check_values, option
from oi_tfrecord.settings.prices import PRICED_REQUESTS, Prices, parse_prices
from oi_tfrecord.settings.yaml_file import read_config, shipped_configs


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """The flags of `convert` that are no field of ConvertConfig, as they do not decide what is written."""

    config: str = option(
        "",
        f"Configuration file, or the name of a shipped one ({', '.join(shipped_configs())}); flags win over it.",
        Group.INPUTS,
    )
    workers: int = option(
        0,
        "Ranges and shards that this machine works on at once, a core each; 0 chooses.",
        Group.RUNNER,
        Range(0, 1 << 20),
    )
    beam_dry_run: bool = option(
        False, "Build and check the job of --runner=DataflowRunner, as Beam's own --dry_run does.", Group.RUNNER
    )
    prices: tuple[str, ...] = option(
        (),
        "Prices for the cost that --dry_run prints: worker_hour=PRICE (a core for an hour), shuffle_gb=PRICE (a GB of "
        f"rows), reads=PRICE and writes=PRICE ({PRICED_REQUESTS:,} requests to object stores).",
        Group.RUNNER,
    )

    def __post_init__(self) -> None:
        check_values(self)
        parse_prices(self.prices)


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A conversion as a command line asks for it.

    Attributes:
        config: what is converted.
        workers: ranges or shards that this machine works on at once; 0 chooses.
        beam_arguments: flags that Beam owns, those of the runner configuration first.
        beam_dry_run: whether to build the job only, as Beam's `--dry_run` does.
        prices: what `--dry_run` multiplies with.
    """

    config: ConvertConfig
    workers: int
    beam_arguments: tuple[str, ...]
    beam_dry_run: bool
    prices: Prices


def make_conversion(parsed: ParsedFlags) -> Conversion:
    """Combines the flags with the configuration file and the runner configuration.

    Args:
        parsed: values of RunOptions and ConvertConfig.

    Raises:
        ConfigError: naming the flag or the key with a bad value.
    """
    options = parsed.make(RunOptions)
    # Beam's name of the flag is --dry_run, which is another flag of this command.
    beam_arguments = (*parsed.beam_arguments, *(["--dry_run=True"] if options.beam_dry_run else []))
    beam_dry_run = value_of(beam_arguments, "--dry_run") == "True"
    if beam_dry_run and not is_dataflow(beam_arguments):
        raise ConfigError("beam_dry_run", "needs --runner=DataflowRunner; other runners would run the job")
    config = read_config(options.config or None, parsed.given[ConvertConfig])
    return Conversion(config, options.workers, beam_arguments, beam_dry_run, parse_prices(options.prices))


def parse_convert(arguments: Sequence[str]) -> Conversion:
    """Parses the command line of `convert`.

    Args:
        arguments: the words after `oi-tfrecord convert`.

    Raises:
        ConfigError: for an unknown flag, naming the nearest known one, or a bad value.
    """
    return make_conversion(parse_flags((RunOptions, RunnerOptions, ConvertConfig), arguments, takes_beam_flags=True))
