"""Packages that `make test` does without: a module or test that needs one is skipped, with the command that brings it.

`from tests.support.optional import tensorflow as tf` skips the module, or the test, where TensorFlow is missing.
"""

import pathlib
from typing import Any

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

COMMANDS = {
    "atheris": "make dev (Linux on x86-64 only)",
    "boto3": "make dev",
    "duckdb": "make dev",
    "gcp_storage_emulator": "make dev",
    "google.cloud.dataflow_v1beta3": "make dev",
    "google.cloud.storage": "make dev",
    "grain": "make dev",
    "ipykernel": "make dev",
    "hdfs": "make dev",
    "importlinter": "make dev",
    "mkdocs": "make dev",
    "mkdocstrings": "make dev",
    "moto": "make dev",
    "mypy": "make dev",
    "nbclient": "make dev",
    "nbformat": "make dev",
    "pandas": "make dev",
    "psycopg": "make dev",
    "selenium": "make dev",
    "tensorflow": "make dev",
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
