"""Beam's flags: which there are, what each takes, and an error for any other."""

import argparse
from collections.abc import Callable, Mapping, Sequence

from oi_tfrecord.engine.beam_internals import find_flag_names, find_flags
from oi_tfrecord.engine.job_server import BOOLEAN, find_free_slots, find_server_flags
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.nearest_flag import nearest_flag


def find_known_flags(arguments: Sequence[str], job_endpoint: str = "") -> Mapping[str, argparse.Action]:
    """Returns the flags of Beam by name with the dashes, and if others are given, those of the job server.

    Args:
        arguments: words, flags of Beam among them.
        job_endpoint: where the job server is, if `--job_endpoint` is not among the words.

    Raises:
        ConfigError: if a job server is asked and does not answer.
    """
    known = find_flags()
    given = (argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    endpoint = value_of(arguments, "--job_endpoint") or job_endpoint
    if all(name in known for name in given) or not endpoint or endpoint == "embed":
        return known
    return {**find_server_flags(endpoint), **known}


def split_beam_arguments(
    arguments: Sequence[str], own_flags: Sequence[str], job_endpoint: str = ""
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Separates Beam's flags from other words, and checks them; Beam itself only warns of unknown flags.

    Args:
        arguments: the command line without our flags.
        own_flags: names of our flags, for the nearest known one.
        job_endpoint: where the job server is, if `--job_endpoint` is not among the words.

    Returns:
        Words that belong to no flag; Beam's flags with their values, as they are given.

    Raises:
        ConfigError: naming the first flag that is unknown or has a bad value.
    """
    if not any(argument.startswith("-") for argument in arguments):
        return tuple(arguments), ()
    if not (job_endpoint or value_of(arguments, "--job_endpoint")):
        _check_spelling(arguments, own_flags)
    known = find_known_flags(arguments, job_endpoint)
    words: list[str] = []
    flags: list[str] = []
    waiting = ""
    for argument in arguments:
        if not argument.startswith("-"):
            if waiting:
                check_value(waiting.lstrip("-"), argument, known[waiting])
            (flags if waiting else words).append(argument)
            waiting = ""
            continue
        _check_not_waiting(waiting, known)
        waiting = _check_flag(argument, known, own_flags)
        flags.append(argument)
    _check_not_waiting(waiting, known)
    return tuple(words), tuple(flags)


def _check_spelling(arguments: Sequence[str], own_flags: Sequence[str]) -> None:
    """Refuses a misspelt flag of the command before Beam is imported, which takes half a second."""
    for argument in arguments:
        name = argument.partition("=")[0]
        near = nearest_flag(name, own_flags) if name.startswith("-") and name not in find_flag_names() else ""
        if near:
            raise ConfigError(name.lstrip("-"), f"is not a flag of this command or of Beam{near}")


def _check_flag(argument: str, known: Mapping[str, argparse.Action], own_flags: Sequence[str]) -> str:
    """Checks one flag; returns its name if its value is the next word, else an empty string."""
    name, equals, value = argument.partition("=")
    if name not in known:
        near = nearest_flag(name, own_flags, [flag.lstrip("-") for flag in known])
        raise ConfigError(name.lstrip("-"), f"is not a flag of this command or of Beam{near}")
    if equals and known[name].nargs == 0:
        raise ConfigError(name.lstrip("-"), f"takes no value, and {value!r} is given")
    if equals:
        check_value(name.lstrip("-"), value, known[name])
    return name if not equals and known[name].nargs != 0 else ""


def check_beam_arguments(arguments: Sequence[str], own_flags: Sequence[str]) -> None:
    """Checks words that must all be flags of Beam; see `split_beam_arguments`."""
    words, _ = split_beam_arguments(arguments, own_flags)
    if words:
        raise ConfigError("flags", f"{words[0]!r} is not a flag")


def _check_not_waiting(name: str, known: Mapping[str, argparse.Action]) -> None:
    if name and known[name].nargs != "?":
        raise ConfigError(name.lstrip("-"), "needs a value")


def check_value(name: str, text: str, action: argparse.Action) -> None:
    """Raises ConfigError, naming the flag, if Beam would not take a value.

    Args:
        name: name of the flag, without dashes.
        text: the value.
        action: the flag, as of `find_flags`.
    """
    try:
        converted = action.type(text) if callable(action.type) else text
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        kind = getattr(action.type, "__name__", "value")
        raise ConfigError(name, f"{text!r} is no {kind}") from error
    if action.choices is not None and converted not in action.choices:
        raise ConfigError(name, f"{text!r} is none of {', '.join(map(str, action.choices))}")


def destination(argument: str) -> str:
    """Returns the option that a flag sets; `--no_use_public_ips` and `--use_public_ips` set the same."""
    name = argument.partition("=")[0]
    action = find_flags().get(name)
    return action.dest if action else name


def runs_here(beam_arguments: Sequence[str]) -> bool:
    """Returns whether a pipeline with these flags runs on this machine, as they name no runner."""
    return not value_of(beam_arguments, "--runner")


def is_dataflow(beam_arguments: Sequence[str]) -> bool:
    """Returns whether these flags name the runner of Dataflow, which Beam knows by several names."""
    return "dataflow" in value_of(beam_arguments, "--runner").lower()


def count_slots(beam_arguments: Sequence[str]) -> int:
    """Returns the slots of a job on Flink, as `--parallelism` says; 0 if unknown."""
    return max(int(value_of(beam_arguments, "--parallelism") or 0), 0)


def choose_parallelism(beam_arguments: Sequence[str], note: Callable[[str], None]) -> tuple[str, ...]:
    """Returns Beam's flags with the slots that a job on Flink takes, if they are not given and Flink can be asked.

    Args:
        beam_arguments: Beam's flags, each checked.
        note: takes a line about the choice.
    """
    arguments = tuple(beam_arguments)
    if runs_here(arguments) or value_of(arguments, "--parallelism"):
        return arguments
    master, endpoint = value_of(arguments, "--flink_master"), value_of(arguments, "--job_endpoint")
    # Values such as `[auto]` start a cluster.
    slots = find_free_slots(master) if ":" in master else 0
    if slots:
        note(f"flink      the job takes the {slots:,} slots that are free (--parallelism)")
        return (*arguments, f"--parallelism={slots}")
    if endpoint and endpoint != "embed" and "--parallelism" in find_server_flags(endpoint):
        note(
            "flink      takes the slots of its own configuration, one by default, and spreads shards unevenly: give "
            "--parallelism=SLOTS, or --flink_master=HOST:PORT to ask for the free slots"
        )
    return arguments


def value_of(beam_arguments: Sequence[str], name: str) -> str:
    """Returns the value of a flag, the last of several values; empty for a flag that is not given."""
    found = ""
    for index, argument in enumerate(beam_arguments):
        given, equals, value = argument.partition("=")
        if given == name:
            found = value if equals else "".join(beam_arguments[index + 1 : index + 2])
    return found


def to_beam_flags(beam_arguments: Sequence[str]) -> list[str]:
    """Returns flags in the form that Beam reads: Beam takes true or false of a job server for a flag without a value.

    Beam makes each such flag one that turns the job server's default around (`get_pipeline_options` of Beam's
    portable_runner).

    Args:
        beam_arguments: flags of Beam, each checked.
    """
    if not value_of(beam_arguments, "--job_endpoint"):
        return list(beam_arguments)
    own, known = find_flags(), find_known_flags(beam_arguments)
    arguments: list[str] = []
    words = list(beam_arguments)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        action = None if name in own else known.get(name)
        if action is None or action.choices != BOOLEAN:
            arguments.append(word)
            continue
        value = value if equals else words.pop(0)
        if value != action.default:
            arguments.append(name)
    return arguments


SECRET_FLAGS = ("--s3_access_key_id", "--s3_secret_access_key", "--s3_session_token", "--azure_connection_string")
"""Flags with keys of stores: who may look at a job may read its options."""


def without_store_keys(beam_arguments: Sequence[str]) -> list[str]:
    """Returns Beam's flags without the keys of stores, which workers elsewhere find in their own environment."""
    kept: list[str] = []
    is_value = False
    for argument in beam_arguments:
        name, equals, _ = argument.partition("=")
        if is_value and not argument.startswith("-"):
            is_value = False
            continue
        is_value = name in SECRET_FLAGS and not equals
        if name not in SECRET_FLAGS:
            kept.append(argument)
    return kept
