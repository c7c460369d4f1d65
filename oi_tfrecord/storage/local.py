"""Looks for local files without taking a fault of the disk for an empty folder.

`glob.glob` leaves out what it cannot list, and to `os.path.exists` what it cannot look at is not there. On a share
that fails for a moment, files that are there would be left out of a result.
"""

import errno
import fnmatch
import glob
import os
import re
import stat

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def look_at(path: str) -> os.stat_result | None:
    """Returns what is known of a file or folder, None if there is none."""
    try:
        return os.stat(path)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def find(pattern: str) -> list[tuple[str, os.stat_result]]:
    """Returns the files that match as with `glob.glob`, by name, and what is known of them."""
    found = ((path, look_at(path)) for path in sorted(_names(pattern)))
    return [(path, info) for path, info in found if info and stat.S_ISREG(info.st_mode)]


def _names(pattern: str) -> list[str]:
    folder, name = os.path.split(pattern)
    if not glob.has_magic(pattern):
        return [pattern]
    found = []
    for parent in _names(folder) if glob.has_magic(folder) else [folder]:
        if glob.has_magic(name):
            wanted = re.compile(fnmatch.translate(name))
            found += [
                os.path.join(parent, entry)
                for entry in _list(parent)
                if wanted.match(entry) and (name.startswith(".") or not entry.startswith("."))
            ]
        else:
            found.append(os.path.join(parent, name))
    return found


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)
    except (FileNotFoundError, NotADirectoryError):
        return []
