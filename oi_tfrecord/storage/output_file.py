"""Files that a flag names for the output of a command: what the command reads, or did not make, is not replaced."""

import os
import posixpath
from collections.abc import Iterable

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.storage.files import exists, read_range, write
from oi_tfrecord.storage.paths import identify, is_local


def refuse_inputs(flag: str, path: str, inputs: Iterable[str]) -> None:
    """Refuses an output that is a file or folder which the command reads, in whatever spelling.

    Args:
        flag: Name of the option that names the output.
        path: The output.
        inputs: Files and folders that the command reads; empty texts are options that are not given.

    Raises:
        ConfigError: If the output is one of them, also by a symbolic or hard link.
    """
    output = identify(path)
    for given in filter(None, inputs):
        if identify(given) == output or _is_same_file(given, path):
            raise ConfigError(flag, f"{given} is read by this command, and would be replaced; give another path")


def refuse_foreign(flag: str, path: str, beginning: bytes) -> None:
    """Refuses to replace a file that does not begin as those do which the command writes there.

    Args:
        flag: Name of the option that names the file or its folder.
        path: The file.
        beginning: First bytes of each file that the command writes there.

    Raises:
        ConfigError: If another file is there; an empty one, such as `mktemp` makes, is replaced.
    """
    found = read_range(path, 0, len(beginning)) if exists(path) else b""
    if found not in (b"", beginning):
        raise ConfigError(flag, f"{path} is there already, and this command did not write it; move it away")


def write_output(flag: str, path: str, data: bytes) -> None:
    """Writes the file that a flag names, whole or not at all.

    Args:
        flag: Name of the option.
        path: The file; an earlier one is replaced if its first line is the same.
        data: The content.

    Raises:
        ConfigError: If a file of another kind is there.
    """
    refuse_foreign(flag, path, data[: data.find(b"\n") + 1])
    write_text(path, data)


def write_text(path: str, data: bytes) -> None:
    """Writes the file that a flag names, as `write_output`; an earlier file is replaced whatever it holds."""
    write(path, data, posixpath.dirname(path) or ".")


def _is_same_file(one: str, other: str) -> bool:
    if not is_local(one) or not is_local(other):
        return False
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
