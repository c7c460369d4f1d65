"""Paths."""

import dataclasses
import glob
import posixpath
import re

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_local(path: str) -> bool:
    """Returns whether a path names a local file."""
    return not _SCHEME.match(path)


def join(folder: str, *parts: str) -> str:
    """Returns `parts` joined to `folder`; an absolute part or one with a scheme stands alone."""
    path = folder
    for part in parts:
        path = part if not is_local(part) else posixpath.join(path, part)
    return path


def escape(folder: str) -> str:
    """Returns the pattern that matches only this folder (Beam's patterns know no escape)."""
    return glob.escape(folder) if is_local(folder) else folder


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """A file that was found by its name.

    Attributes:
        path: its name.
        size: in bytes.
        modified: last modification, seconds since the epoch (0 where the storage does not tell).
    """

    path: str
    size: int
    modified: float
