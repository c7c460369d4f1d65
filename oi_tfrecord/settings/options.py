"""How options are declared: fields of frozen dataclasses, from which flags, their help and the reference are made."""

import dataclasses
import enum
import functools
import os
import typing
from typing import TYPE_CHECKING, Any

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Allowed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Group(enum.StrEnum):
    """Headings of the help, in its order."""

    INPUTS = "Inputs"
    CHOICE = "Choice of images"
    CLASSES = "Classes"
    RECORDS = "Records"
    IMAGES = "Images"
    OUTPUT = "Output"
    RUNNER = "Runner"
    EXPERT = "Expert"


REQUIRED: Any = dataclasses.MISSING
"""Default of an option that must be given."""


def option(
    default: Any,
    help: str,
    group: Group,
    allowed: Allowed | None = None,
    *,
    positional: str = "",
    earlier_flag: str = "",
    shapes_output: bool = True,
) -> Any:
    """Returns a field of an options dataclass.

    The flag has the name of the field, without the underscore that ends a name which Python reserves (`as_`). A field
    that is made another way, such as `beam_arguments`, is no flag.

    Args:
        default: the value where none is given, or REQUIRED.
        help: one or two sentences.
        group: heading of the help.
        allowed: values that the option takes, or that each item of a tuple may be; None for all of its type.
        positional: how usage shows the argument, such as `DIR`, if it has no flag; a tuple takes one or more.
        earlier_flag: another name of the flag, from an earlier version, that is still taken but not shown.
        shapes_output: whether the value decides the bytes that are written, as those of ConvertConfig do.
    """
    metadata = {
        "help": help,
        "group": group,
        "allowed": allowed,
        "positional": positional,
        "earlier_flag": earlier_flag,
        "shapes_output": shapes_output,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Option:
    """A declared option.

    Attributes:
        name: of the dataclass's field.
        flag: name of the flag, without dashes.
        kind: `str`, `int`, `float`, `bool`, or `tuple` for several texts.
        default: the value where none is given; None if the option is required.
        required: whether a value must be given.
        help: one or two sentences.
        group: heading of the help.
        allowed: values that the option takes; None for all of its kind.
        positional: how usage shows the argument if it has no flag.
        earlier_flag: another name of the flag, from an earlier version; empty for none.
    """

    name: str
    flag: str
    kind: type
    default: Any
    required: bool
    help: str
    group: Group
    allowed: Allowed | None
    positional: str
    earlier_flag: str


@functools.cache
def options_of(options_class: type[Any]) -> tuple[Option, ...]:
    """Returns the options that a dataclass declares, in the order of its fields.

    Args:
        options_class: a dataclass with fields made by `option`.
    """
    types = typing.get_type_hints(options_class)
    found = []
    for field in dataclasses.fields(options_class):
        if "help" in field.metadata:
            required = field.default is REQUIRED
            found.append(
                Option(
                    name=field.name,
                    flag=field.name.rstrip("_"),
                    kind=typing.get_origin(types[field.name]) or types[field.name],
                    default=None if required else field.default,
                    required=required,
                    help=field.metadata["help"],
                    group=field.metadata["group"],
                    allowed=field.metadata["allowed"],
                    positional=field.metadata["positional"],
                    earlier_flag=field.metadata["earlier_flag"],
                )
            )
    return tuple(found)


def check_values(options: "DataclassInstance") -> None:
    """Checks type and allowed values of each option, and makes texts of paths; called by `__post_init__`.

    Args:
        options: an instance of a dataclass with fields made by `option`.

    Raises:
        ConfigError: naming the first option with a bad value.
    """
    for declared in options_of(type(options)):
        given = getattr(options, declared.name)
        if (value := _as_text(given)) is not given:
            # The dataclass is frozen, and not made yet.
            object.__setattr__(options, declared.name, value)
        _check_type(declared, value)
        if declared.allowed is None or (value == declared.default and not declared.required):
            continue
        for item in value if isinstance(value, tuple) else (value,):
            declared.allowed.check(declared.flag, item)


def _as_text(value: Any) -> Any:
    """Returns a text or a path of `pathlib`, or those of a tuple, as texts with the home folder for a leading `~`."""
    if isinstance(value, tuple):
        return tuple(map(_as_text, value))
    is_path = isinstance(value, os.PathLike) or (isinstance(value, str) and value.startswith("~"))
    return storage.expand(value) if is_path else value


def _check_type(declared: Option, value: Any) -> None:
    kinds = (int, float) if declared.kind is float else (declared.kind,)
    good = isinstance(value, kinds) and (declared.kind is bool or not isinstance(value, bool))
    if isinstance(value, tuple):
        good = good and all(isinstance(item, str) for item in value)
    if not good:
        known = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        expected = known.get(declared.kind, "a tuple of texts")
        raise ConfigError(declared.flag, f"{value!r} is not {expected}")
