"""The fields of the options that functions of the package take: each has a help text and the values that it allows.

A command makes its flags of them. A flag has the name of the field, without the underscore that ends the name of a
field where Python reserves the word (`as_`). A field without a help text is no flag.
"""

import dataclasses
from typing import Any, get_origin

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.allowed_values import Allowed


def required(description: str, allowed: Allowed | None = None) -> Any:
    """Returns a field that must be given.

    Args:
        description: help text of the flag.
        allowed: what its value may be; None allows any.
    """
    return dataclasses.field(metadata={"help": description, "allowed": allowed})


def option(default: Any, description: str, allowed: Allowed | None = None) -> Any:
    """Returns a field with a default.

    Args:
        default: its value if it is not given, which is not checked.
        description: help text of the flag.
        allowed: what its value may be, or each of its values if it is a tuple; None allows any.
    """
    return dataclasses.field(default=default, metadata={"help": description, "allowed": allowed})


def flag_name(field: str) -> str:
    """Returns the name of the flag of a field."""
    return field.rstrip("_")


def check_options(options: Any) -> None:
    """Checks the values of options; called by their `__post_init__`.

    Args:
        options: an instance of a dataclass with fields of `required` and `option`.

    Raises:
        ConfigError: naming the first field whose value is not allowed.
    """
    for field in dataclasses.fields(options):
        name, value = flag_name(field.name), getattr(options, field.name)
        if get_origin(field.type) is tuple and isinstance(value, str):
            raise ConfigError(name, f"{value!r} is one text, and several are expected; give ({value!r},)")
        allowed = field.metadata.get("allowed")
        if allowed is None or value == field.default:
            continue
        for item in value if isinstance(value, tuple) else (value,):
            allowed.check(name, item)
