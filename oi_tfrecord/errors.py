"""Errors a user reads: each names what is wrong, where, and what to do about it."""

import difflib
from collections.abc import Iterable


class OiTfrecordError(Exception):
    """Base of every error that is the user's to mend; commands print it without a traceback."""


class ConfigError(OiTfrecordError):
    """A bad configuration value, flag or key."""

    def __init__(self, field: str, problem: str):
        """Initializes the instance.

        Args:
            field: the name of the flag or config key.
            problem: what is wrong with it and what would be right.
        """
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class FileError(OiTfrecordError):
    """A file that stops a command."""

    def __init__(self, path: str, problem: str, remedy: str, line: int | None = None):
        """Initializes the instance.

        Args:
            path: the file.
            problem: what is wrong with it.
            remedy: what the user can do.
            line: line number in the file, from 1, where one is to blame.
        """
        super().__init__(path, problem, remedy, line)
        self.path = path
        self.problem = problem
        self.remedy = remedy
        self.line = line

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{where}: {self.problem}. {self.remedy}."


class InputError(FileError):
    """An input file that cannot be used as a whole (a single bad row is a counted reject)."""


class NotFoundError(InputError):
    """An input file that is not there."""


class StorageError(FileError):
    """A file that cannot be read or written now: the disk is full, it was removed, its store cannot be reached."""


class RunnerError(OiTfrecordError):
    """A job that a runner elsewhere did not take, or gave up."""

    def __init__(self, problem: str):
        """Initializes the instance.

        Args:
            problem: what the runner tells.
        """
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"the job failed on its runner: {self.problem}\nMend what it tells of, and run the same command again."


class HandedOn(OiTfrecordError):
    """The text of a FileError on its way through a runner that hands on no more than the text of an exception."""


class EngineError(OiTfrecordError):
    """A job that its engine gave up for a reason of the engine's own, as that a worker was lost."""

    def __init__(self, problem: str, remedy: str):
        """Initializes the instance.

        Args:
            problem: what the engine says.
            remedy: what the user can do.
        """
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"the engine gave the job up: {self.problem}. {self.remedy}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `; did you mean 'x'?` for the closest known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""
