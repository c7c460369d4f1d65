"""absl flags made from the options of a command, and the values that a command line gives them."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

from oi_tfrecord.engine.beam_flags import split_beam_arguments
from oi_tfrecord.engine.runner_file import combine_runner_flags, read_runner_file
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.nearest_flag import nearest_flag
from oi_tfrecord.settings.options import Option, options_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

_EXPECTED = {"bool": "true or false", "int": "a whole number", "float": "a number"}
"""absl's types of flags, as errors name them."""


@dataclasses.dataclass(frozen=True)
class ParsedFlags:
    """The values that a command line gives.

    Attributes:
        given: of each options dataclass, the values by field, without those that are not given.
        beam_arguments: flags that Beam owns, those of the runner configuration first.
    """

    given: Mapping[type, Mapping[str, Any]]
    beam_arguments: tuple[str, ...] = ()

    def make(self, options_class: type[Options]) -> Options:
        """Returns the options of a dataclass, with `beam_arguments` if it has a field of that name.

        Args:
            options_class: one of those that were parsed.

        Raises:
            ConfigError: naming the option that is missing or has a bad value.
        """
        given = dict(self.given[options_class])
        for option in options_of(options_class):
            if option.required and option.name not in given:
                raise ConfigError(option.flag, f"is needed; give {option.positional or f'--{option.flag}'}")
        if any(field.name == "beam_arguments" for field in dataclasses.fields(options_class)):
            given["beam_arguments"] = self.beam_arguments
        return options_class(**given)


def usage_of(option: Option) -> str:
    """Returns how a flag is written, such as `--num_shards=N`."""
    if option.kind is bool:
        return f"--[no]{option.flag}"
    value = {int: "N", float: "NUMBER", tuple: "TEXT,..."}.get(option.kind, "TEXT")
    return f"--{option.flag}={value}"


def parse_flags(options_classes: Sequence[type], arguments: Sequence[str], takes_beam_flags: bool) -> ParsedFlags:
    """Parses a command line.

    Args:
        options_classes: dataclasses whose fields are the flags and the positional arguments.
        arguments: the words after the name of the command.
        takes_beam_flags: whether flags of Beam are taken.

    Raises:
        ConfigError: for an unknown flag, naming the nearest known one, or a bad value.
    """
    declared = {options_class: options_of(options_class) for options_class in options_classes}
    values = _define_flags([option for found in declared.values() for option in found if not option.positional])
    rest = _parse_known(values, arguments)
    if takes_beam_flags:
        runner_config = str(values["runner_config"].value or "") if "runner_config" in values else ""
        runner_file = read_runner_file(runner_config)
        words, beam_arguments = split_beam_arguments(rest, list(values), runner_file.job_endpoint)
        beam_arguments = combine_runner_flags(runner_file, beam_arguments)
    else:
        words, beam_arguments = _check_words(rest, list(values)), ()
    texts = _assign_words(words, [option for found in declared.values() for option in found if option.positional])
    given = {options_class: _values_of(found, values, texts) for options_class, found in declared.items()}
    return ParsedFlags(given, beam_arguments)


def _define_flags(declared: Sequence[Option]) -> flags.FlagValues:
    values = flags.FlagValues()
    for option in declared:
        if option.kind is bool:
            flags.DEFINE_bool(option.flag, None, option.help, flag_values=values)
        elif option.kind is int:
            flags.DEFINE_integer(option.flag, None, option.help, flag_values=values)
        elif option.kind is float:
            flags.DEFINE_float(option.flag, None, option.help, flag_values=values)
        elif option.kind is tuple:
            parser, serializer = flags.ListParser(), flags.CsvListSerializer(",")
            flags.DEFINE_multi(parser, serializer, option.flag, None, option.help, flag_values=values)
        else:
            flags.DEFINE_string(option.flag, None, option.help, flag_values=values)
        if option.earlier_flag:
            flags.DEFINE_alias(option.earlier_flag, option.flag, flag_values=values)
    return values


def _parse_known(values: flags.FlagValues, arguments: Sequence[str]) -> list[str]:
    """Parses our flags; returns the other words."""
    for word, following in itertools.pairwise(arguments):
        name = word.removeprefix("--")
        if word.startswith("--") and name in values and not values[name].boolean and following.startswith("--"):
            # absl would take the flag that follows for the value.
            raise ConfigError(name, "needs a value")
    try:
        return list(values(["oi-tfrecord", *arguments], known_only=True)[1:])
    except flags.IllegalFlagValueError as error:
        raise _bad_value(values, str(error)) from error
    except (flags.Error, ValueError) as error:
        # absl raises ValueError for `--nooverwrite=x`.
        missing = re.match(r"Missing value for flag -+(\w+)", str(error))
        raise (ConfigError(missing[1], "needs a value") if missing else ConfigError("flags", str(error))) from error


def _bad_value(values: flags.FlagValues, message: str) -> ConfigError:
    """Returns the error for absl's message about a value of another kind than the flag's."""
    bad = re.match(r"flag --(\w+)=(.*?): (.*)", message, re.DOTALL)
    if bad is None:
        return ConfigError("flags", message)
    expected = _EXPECTED.get(values[bad[1]].flag_type(), f"a list: {bad[3]}")
    return ConfigError(bad[1], f"{bad[2]!r} is not {expected}")


def _check_words(rest: Sequence[str], own_flags: Sequence[str]) -> tuple[str, ...]:
    for word in rest:
        if word.startswith("-"):
            name = word.partition("=")[0]
            raise ConfigError(name.lstrip("-"), f"is not a flag of this command{nearest_flag(name, own_flags)}")
    return tuple(rest)


def _assign_words(words: Sequence[str], declared: Sequence[Option]) -> dict[str, Any]:
    """Returns the values of the positional arguments by name."""
    texts: dict[str, Any] = {}
    left = list(words)
    for option in declared:
        if left and option.kind is tuple:
            texts[option.flag], left = tuple(left), []
        elif left:
            texts[option.flag] = left.pop(0)
    if left:
        hint = f"; did you mean '--{left[0]}'?" if re.fullmatch("[a-z_]+=.*", left[0]) else ""
        raise ConfigError("flags", f"{left[0]!r} is not a flag; flags begin with --{hint}")
    return texts


def _values_of(declared: Sequence[Option], values: flags.FlagValues, texts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the values that are given, by field."""
    given = {option.name: texts[option.flag] for option in declared if option.flag in texts}
    for option in declared:
        if option.flag in values and values[option.flag].present:
            value: Any = values[option.flag].value
            # `--boxes=a,b --boxes=c` gives a list for each time that the flag is given.
            given[option.name] = tuple(item for items in value for item in items) if option.kind is tuple else value
    return given
