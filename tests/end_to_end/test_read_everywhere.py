"""Every command that reads records does so on an S3 server, a GCS emulator and HDFS as on a local disk."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.support.object_servers import Store, files_below


def read_everywhere(records: str, to: str, cache: pathlib.Path, *flags: str, **variables: str) -> dict[str, Any]:
    """Runs the commands in a process of its own, as Beam keeps credentials for a process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.read_everywhere", records, to, *flags],
        cwd=REPOSITORY,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


FOLDERS = {"0", "1", "merged", "official", "scores", "tables"}
"""What the commands write below TO, beside files."""


def comparable(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns files with manifests as values, without what names the folders that records are from."""
    values: dict[str, Any] = dict(files)
    for name in files:
        if name.endswith("/manifest.json"):
            values[name] = json.loads(files[name])
            for split in values[name]["splits"].values():
                del split["fingerprint"], split["derived"], split["entry_sha256"]
    return values


@pytest.fixture(scope="module")
def here(exportable: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the commands print and write on the local disk."""
    folder = tmp_path_factory.mktemp("here")
    # A copy, as `browse` puts its index beside the records.
    shutil.copytree(exportable, folder / "records")
    printed = read_everywhere(str(folder / "records"), str(folder / "to"), folder / "cache")
    return printed, dict(files_below(folder / "to"))


@pytest.mark.parametrize("store", ["s3", "gs", "hdfs"], indirect=True)
def test_the_commands_tell_and_write_the_same_as_on_a_local_disk(
    store: Store, exportable: pathlib.Path, here: tuple[dict[str, Any], dict[str, bytes]], tmp_path: pathlib.Path
) -> None:
    for name, data in files_below(exportable):
        store.put(f"records/{name}", data)
    printed = read_everywhere(
        f"{store.root}/records", f"{store.root}/to", tmp_path / "cache", *store.flags(), **store.environment()
    )
    assert printed == here[0]
    assert all(printed.values())
    written = store.get_all("to/")
    assert comparable(written) == comparable(here[1])
    assert {name.split("/")[0] for name in written} == FOLDERS | {"found.csv", "report.html"}
    assert store.get_all("records/") == dict(files_below(exportable))
