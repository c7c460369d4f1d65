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


Allowed = Choice | Range | Text


class UrlKind(enum.StrEnum):
    """The file of an image that is downloaded."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
