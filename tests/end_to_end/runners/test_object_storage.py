"""Whole conversions from and to object storage: an S3 server and a GCS emulator on the loopback."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import REPOSITORY, Converted
from tests.support.object_servers import Store, files_below
from tests.support.slow_store import SlowStore


def convert_on(store: Store, port: int, *flags: str) -> subprocess.CompletedProcess[str]:
    """Converts in a process of its own, as Beam keeps credentials for a process."""
    command = [
        sys.executable, "-m", "oi_tfrecord", "convert", "--config=v3", "--split=train",
        f"--data_dir={store.root}/2017_11",
        f"--images={store.root}/images/{{split}}/{{image_id}}.jpg", f"--output_dir={store.root}/records",
        "--num_shards=3", *flags, *store.flags(port),
    ]  # fmt: skip
    environment = {**os.environ, **store.environment(port)}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_whole_conversion_reads_from_and_writes_to_the_store(
    store: Store, run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path, workers: int
) -> None:
    local = run(sample, tmp_path / "local")
    expected = {path.name: path.read_bytes() for path in local.shards()}
    for name, data in files_below(sample):
        store.put(name, data)
    done = convert_on(store, store.port, f"--workers={workers}")
    assert done.returncode == 0, done.stderr[-3000:]
    written = store.get_all("records/")
    assert {name: data for name, data in written.items() if name.startswith("train.tfrecord-")} == expected
    assert {"manifest.json", "label_map.pbtxt", "rejects-train.csv"} <= written.keys()
    assert not [name for name in written if name.startswith(".")]


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_store_that_goes_away_ends_in_one_line_and_a_rerun_resumes(
    store: Store, slow: SlowStore, sample: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in files_below(sample):
        store.put(name, data)
    # All that is not temporary about the shuffle's folder of a run with remote output.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    slow.set(broken=".jpg")
    done = convert_on(store, slow.port, "--workers=1")
    assert done.returncode == 1
    # Beam warns at length that it found no credentials of Google.
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "StorageError" not in done.stderr
    assert line.startswith(f"error: {store.root}/images/train/")
    assert "access is denied (HTTP 403). Give other credentials" in line
    assert not list(tmp_path.glob("oi_tfrecord-*"))
    slow.set()
    done = convert_on(store, slow.port, "--workers=1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "manifest.json" in store.get_all("records/")
