"""Packages that `make test` does without: a module or test that needs one is skipped, with the command that brings it.

`from tests.support.optional import tensorflow as tf` skips the module, or the test, where TensorFlow is missing.
"""

import pathlib
from typing import Any

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

COMMANDS = {
    "atheris": "pip install '.[dev]' (Linux on x86-64 only)",
    "boto3": "pip install '.[dev]'",
    "duckdb": "pip install '.[dev]'",
    "gcp_storage_emulator": "pip install '.[dev]'",
    "google.cloud.dataflow_v1beta3": "pip install '.[dev]'",
    "google.cloud.storage": "pip install '.[dev]'",
    "hdfs": "pip install '.[dev]'",
    "importlinter": "pip install '.[dev]'",
    "moto": "pip install '.[dev]'",
    "mypy": "pip install '.[dev]'",
    "pandas": "pip install '.[dev]'",
    "psycopg": "pip install '.[dev]'",
    "selenium": "pip install '.[dev]'",
    "tensorflow": "pip install '.[dev]'",
}
"""Package to the command that installs the package."""


def require(package: str) -> Any:
    """Imports a package, or skips the module or test that asks for the package."""
    return pytest.importorskip(package, reason=f"{package} is not installed: {COMMANDS[package]}", exc_type=ImportError)


def __getattr__(name: str) -> Any:
    if name not in COMMANDS:
        raise AttributeError(name)
    return require(name)


def peer_python(name: str) -> pathlib.Path:
    """Returns the Python of a peer's environment (`peers` holds the Object Detection API), or skips the test."""
    folder = REPOSITORY / f".venv-{name}"
    if not (folder / "installed").exists():
        pytest.skip(f"the environment .venv-{name} is not installed: make peers")
    return folder / "bin" / "python"
