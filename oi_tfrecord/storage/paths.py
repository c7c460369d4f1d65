"""Paths of files on local disks and elsewhere."""

import dataclasses
import glob
import os
import posixpath
import re
import uuid

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")


OBJECT_SCHEMES = ("s3://", "gs://", "az://")
"""Schemes of object stores, whose files appear whole when they are closed, so that no temporary name is needed."""

READ_SCHEMES = (*OBJECT_SCHEMES, "https://", "http://")
"""Schemes whose files `object_files` reads."""

EMULATOR = "STORAGE_EMULATOR_HOST"
"""Variable with the address of an emulator of gs://, which has the JSON interface alone; `obstore` uses the other."""


def is_object(path: str) -> bool:
    """Returns whether `object_files` lists, writes and deletes the file; else Beam's filesystems do it."""
    return path.startswith(OBJECT_SCHEMES) and not (path.startswith("gs://") and bool(os.environ.get(EMULATOR)))


def is_local(path: str) -> bool:
    """Returns whether a path names a local file."""
    return not _SCHEME.match(path)


def join(folder: str, *parts: str) -> str:
    """Returns `parts` joined to `folder`; an absolute part or one with a scheme stands alone."""
    path = folder
    for part in parts:
        path = part if not is_local(part) else posixpath.join(path, part)
    return path


def expand(path: str | os.PathLike[str]) -> str:
    """Returns a path as a text, with the home folder for a leading `~`.

    A shell expands `~` at the start of a word only, so not in `--output_dir=~/records`.
    """
    return os.path.expanduser(os.fspath(path))


def escape(folder: str) -> str:
    """Returns the pattern that matches only this folder (Beam's patterns have no escape)."""
    return glob.escape(folder) if is_local(folder) else folder


def identify(path: str) -> str:
    """Returns a spelling that is the same for all paths of one file or folder: links resolved, no `.`, `..` or `//`."""
    if is_local(path):
        return os.path.realpath(path)
    scheme, _, rest = path.partition("://")
    return f"{scheme.lower()}://{posixpath.normpath(rest)}"


def temporary_path(folder: str) -> str:
    """Returns a new path in a folder; it is short, as a name of 255 bytes leaves no room for an ending."""
    return join(folder, f"{uuid.uuid4().hex}.tmp")


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """A file that a listing found.

    Attributes:
        path: its path.
        size: in bytes.
        modified: last modification, seconds since the epoch; 0 where the storage does not keep it.
    """

    path: str
    size: int
    modified: float
