"""What the value of a setting may be: the configuration checks by it, the flex template describes it."""

import dataclasses
import enum
import re

from oi_tfrecord.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some names.

    Attributes:
        values: the names.
    """

    values: tuple[str, ...]

    def describe(self) -> str:
        """Returns the names for the help."""
        return ", ".join(self.values)

    def check(self, field: str, value: str) -> None:
        """Raises ConfigError, naming the field, if the value is none of them."""
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
        """Raises ConfigError, naming the field, if the value is outside."""
        if self.above_low and not self.low < value <= self.high:
            raise ConfigError(field, f"{value} is not {self.describe()}")
        if not self.low <= value <= self.high:
            raise ConfigError(field, f"{value} is not within {self.describe()}")


@dataclasses.dataclass(frozen=True)
class Text:
    """A text of a form.

    Attributes:
        pattern: regular expression that the whole text matches.
        problem: what is wrong with one that does not.
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
    """Which of an image's files is taken."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
