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

    def check(self, field: str, value: str) -> None:
        """Raises ConfigError, naming the field, if the value is none of them."""
        if value not in self.values:
            known = ", ".join(map(str, self.values))
            raise ConfigError(field, f"{value!r} is none of {known}{nearest(value, self.values)}")


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

    def check(self, field: str, value: float) -> None:
        """Raises ConfigError, naming the field, if the value is outside."""
        if self.above_low and not self.low < value <= self.high:
            raise ConfigError(field, f"{value} is not above {self.low} and at most {self.high}")
        if not self.low <= value <= self.high:
            raise ConfigError(field, f"{value} is not within {self.low} to {self.high}")


@dataclasses.dataclass(frozen=True)
class Text:
    """A text of a form.

    Attributes:
        pattern: regular expression that the whole text matches.
        problem: what is wrong with one that does not.
    """

    pattern: str
    problem: str

    def check(self, field: str, value: str) -> None:
        """Raises ConfigError, naming the field, if the text has another form."""
        if not re.fullmatch(self.pattern, value, re.DOTALL):
            raise ConfigError(field, f"{value!r} {self.problem}")


Allowed = Choice | Range | Text


class UrlKind(enum.StrEnum):
    """Which of an image's files is taken."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
