"""Errors that a user reads: each says what is wrong, with which value or file, and what to do."""

import difflib
from collections.abc import Iterable


class OiTfrecordError(Exception):
    """Base of every error that a user can correct; commands print the error without a traceback."""


class ConfigError(OiTfrecordError):
    """A wrong configuration value, flag or key."""

    def __init__(self, field: str, problem: str):
        """Names the field and its problem.

        Args:
            field: Name of the flag or configuration key.
            problem: What is wrong with its value, and what would be right.
        """
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class FileError(OiTfrecordError):
    """A file that stops a command."""

    def __init__(self, path: str, problem: str, remedy: str, line: int | None = None):
        """Names the file, its problem and the remedy.

        Args:
            path: Path of the file.
            problem: What is wrong with the file.
            remedy: What the user can do.
            line: Number of the wrong line, from 1; None if no single line is wrong.
        """
        super().__init__(path, problem, remedy, line)
        self.path = path
        self.problem = problem
        self.remedy = remedy
        self.line = line

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{place}: {self.problem}. {self.remedy}."


class InputError(FileError):
    """An input file that cannot be used at all; a single wrong row is a reject instead (`reasons`)."""


class NotFoundError(InputError):
    """An input file that does not exist."""


class StorageError(FileError):
    """A file that cannot be read or written now: a full disk, a removed file, an unreachable store."""


class EncodedFileError(OiTfrecordError):
    """A FileError encoded as text, because a runner passes on only the text of a worker's exception."""


class RunnerError(OiTfrecordError):
    """A job that a remote runner refused or gave up because of its input or configuration."""

    def __init__(self, problem: str):
        """Names the problem.

        Args:
            problem: What the runner reports.
        """
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"the job failed on its runner: {self.problem}\nCorrect this problem, and run the same command again."


class EngineError(OiTfrecordError):
    """A job that failed through no fault of its input, such as a lost worker."""

    def __init__(self, problem: str, remedy: str):
        """Names the problem and the remedy.

        Args:
            problem: What the engine reports.
            remedy: What the user can do.
        """
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"the engine gave up the job: {self.problem}. {self.remedy}."


_NEAR = 0.65
"""Least similarity of a name that is suggested; a name that is farther off misleads more than it helps."""


_LONGEST = 256
"""Characters of a name that is compared at most; the time grows with the length, and a file may be one line."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the closest known name, or an empty string."""
    if len(name) > _LONGEST:
        return ""
    names = list(known)
    # A name that differs by upper and lower case alone is meant, however close others are.
    matches = [other for other in names if other.lower() == name.lower()]
    matches = matches or difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    return f"; did you mean '{matches[0]}'?" if matches else ""
