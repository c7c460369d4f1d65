"""Keeps Beam and Arrow from importing packages that are installed but not needed here.

These are the clients of storages, Google's services, and pandas. With all extras installed, they take half of Beam's
import time and 80 MB of each process.
"""

import contextlib
import functools
import importlib
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from oi_tfrecord.errors import ConfigError

FILESYSTEMS = (
    "apache_beam.io.hadoopfilesystem",
    "apache_beam.io.gcp.gcsfilesystem",
    "apache_beam.io.aws.s3filesystem",
    "apache_beam.io.azure.blobstoragefilesystem",
)
"""Beam's modules of remote filesystems; `apache_beam.io.filesystems` skips those that cannot be imported."""

_LEFT_OUT = {*FILESYSTEMS, "apache_beam.io.gcp.bigquery", "google.cloud.dataflow", "pandas"}


@contextlib.contextmanager
def without(names: Collection[str] = frozenset(_LEFT_OUT)) -> Iterator[None]:
    """Makes modules that are not imported yet look as if they were not installed, within the block.

    Args:
        names: the modules, by default those that a pipeline on this machine does not need.
    """
    finder = _Missing(frozenset(names))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def keep_pandas_from_arrow() -> None:
    """Makes Arrow look for pandas while pandas cannot be found; Arrow looks once, with its first values for NumPy."""
    import pyarrow as pa

    with without():
        pa.array([0]).to_numpy()


@functools.cache
def import_filesystems() -> None:
    """Imports those of FILESYSTEMS whose clients are installed; called when a remote file is used."""
    for name in FILESYSTEMS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def install_command(extra: str) -> str:
    """Returns the command that installs the packages of an extra.

    The packages are named, as no package index need have this program itself.

    Args:
        extra: name of the extra in setup.py.
    """
    import importlib.metadata

    marked = re.compile(rf"""(?P<package>[^;]+?)\s*;.*extra == ['"]{re.escape(extra)}['"]""")
    try:
        required = importlib.metadata.requires("oi_tfrecord") or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    packages = [found["package"] for text in required if (found := marked.fullmatch(text))]
    return f"pip install {' '.join(map(shlex.quote, packages)) or shlex.quote(f'oi_tfrecord[{extra}]')}"


def import_optional(module: str, *, extra: str, field: str, need: str) -> ModuleType:
    """Imports a package that only an extra installs.

    Args:
        module: name of the package.
        extra: name of the extra in setup.py.
        field: option that needs the package.
        need: says what needs which package, for the error.

    Raises:
        ConfigError: if the package cannot be imported, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(field, f"{need}: {install_command(extra)}") from error


class _Missing:
    def __init__(self, names: frozenset[str]):
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is left out", name=name)
        return None
