"""The values that an option takes: options are checked by them, help and the flex template describe them."""

import dataclasses
import enum
import re

from oi_tfrecord.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several names.

    Attributes:
        values: the names.
    """

    values: tuple[str, ...]

    def describe(self) -> str:
        """Returns the names for the help."""
        return ", ".join(self.values)

    def check(self, field: str, value: str) -> None:
        """Raises ConfigError, naming the field, if the value is none of the names."""
        if value not in self.values:
            raise ConfigError(field, f"{value!r} is none of {self.describe()}{nearest(value, self.values)}")


@dataclasses.dataclass(frozen=True)
class Range:
    """A number within bounds.

    Attributes:
        low: the least.
        high: the greatest.
        above_low: whether `low` itself is too low.
    """

    low: int
    high: int
    above_low: bool = False

    def describe(self) -> str:
        """Returns the bounds for the help."""
        return f"above {self.low} and at most {self.high}" if self.above_low else f"{self.low} to {self.high}"

    def check(self, field: str, value: float) -> None:
        """Raises ConfigError, naming the field, if the value is outside the bounds."""
        if self.above_low and not self.low < value <= self.high:
            raise ConfigError(field, f"{value} is not {self.describe()}")
        if not self.low <= value <= self.high:
            raise ConfigError(field, f"{value} is not within {self.describe()}")


@dataclasses.dataclass(frozen=True)
class Text:
    """A text of a given form.

    Attributes:
        pattern: regular expression that the whole text matches.
        problem: error message for a text that does not match, without the text.
        form: how the help describes such a text.
    """

    pattern: str
    problem: str
    form: str = ""

    def describe(self) -> str:
        """Returns the form for the help."""
        return self.form

    def check(self, field: str, value: str) -> None:
        """Raises ConfigError, naming the field, if the text has another form."""
        if not re.fullmatch(self.pattern, value, re.DOTALL):
            raise ConfigError(field, f"{value!r} {self.problem}")


@dataclasses.dataclass(frozen=True)
class PathPattern:
    """A path with placeholders, each of which stands for a part of the path of one file.

    Attributes:
        needed: the placeholder that names the file, without braces.
        others: further placeholders.
        names: names that stand for a pattern.
    """

    needed: str
    others: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def path_pattern(self) -> str:
        """Regular expression that a whole path matches."""
        part = "|".join(("[^{}*]", *(rf"\{{{name}\}}" for name in (self.needed, *self.others))))
        return rf"({part})*\{{{self.needed}\}}({part})*"

    def describe(self) -> str:
        """Returns the form for the help."""
        named = "".join(f"{name}, or " for name in self.names)
        others = " and ".join(f"{{{name}}}" for name in self.others)
        return f"{named}a path with {{{self.needed}}} and, if needed, {others}"

    def check(self, field: str, value: str) -> None:
        """Raises ConfigError, naming the field, if the text is no such path."""
        if value in self.names:
            return
        known = [f"{{{name}}}" for name in (self.needed, *self.others)]
        if known[0] not in value:
            raise ConfigError(field, f"{value!r} has no {known[0]}, so every file would be the same")
        for found in re.findall(r"\{[^{}]*\}", value):
            if found not in known:
                raise ConfigError(field, f"{found} in {value!r} is none of {', '.join(known)}{nearest(found, known)}")
        if not re.fullmatch(self.path_pattern, value, re.DOTALL):
            problem = "holds a * or a single brace, but names one file"
            raise ConfigError(field, f"{value!r} {problem}; give {', '.join(known)} for what differs")


Allowed = Choice | Range | Text | PathPattern


class BoxesWithoutMask(enum.StrEnum):
    """Which boxes that have no mask are kept, with an empty mask."""

    DROP = "drop"
    EMPTY = "empty"
    GROUPS = "groups"
    """Only group-of boxes, which the instance segmentation metrics of the challenge need."""


class UrlKind(enum.StrEnum):
    """The file of an image that is downloaded."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"


def parse_max_rejects(text: str) -> tuple[float, bool]:
    """Parses `--max_rejects`.

    Args:
        text: a count (`100`) or a percentage (`1%`, `0.5%`).

    Returns:
        (limit, whether it is a percentage).

    Raises:
        ConfigError: naming the field.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text.strip())
    if not match or (not match[2] and "." in match[1]):
        raise ConfigError("max_rejects", f"{text!r} is neither a count (100) nor a percentage (1%)")
    limit = float(match[1])
    if match[2] and limit > 100:
        raise ConfigError("max_rejects", f"{text!r} is over 100%")
    return limit, bool(match[2])
