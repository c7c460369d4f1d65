"""Whole conversions from and to object storage: an S3 server and a GCS emulator on the loopback."""

import io
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from oi_tfrecord import storage
from oi_tfrecord.browse import Dataset
from oi_tfrecord.browse_query import Query
from oi_tfrecord.index_files import open_index
from pipelines import main
from tests.conftest import REPOSITORY, Converted
from tests.object_servers import Store, files_below
from tests.slow_store import SlowStore


def convert_on(store: Store, port: int, *flags: str) -> subprocess.CompletedProcess[str]:
    """Converts in a process of its own, as Beam keeps credentials for a process."""
    command = [
        sys.executable, "-m", "pipelines.convert", "--config=v3", "--split=train", f"--data_dir={store.root}/2017_11",
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
def test_a_store_that_goes_away_ends_in_one_line_and_a_rerun_goes_on(
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
    assert "run the same command again" in line
    assert not list(tmp_path.glob("oi_tfrecord-*"))
    slow.set()
    done = convert_on(store, slow.port, "--workers=1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "manifest.json" in store.get_all("records/")


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_commands_read_records_in_the_store_as_they_do_here(
    store: Store,
    exportable: pathlib.Path,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = f"{store.root}/records"
    for name, data in files_below(exportable):
        store.put(f"records/{name}", data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("aiohttp.web.run_app", lambda *arguments, **others: None)
    capfd.readouterr()

    def printed(*arguments: str) -> str:
        assert main.main(arguments) == 0
        return capfd.readouterr().out

    def both(command: str, *flags: str, at: str = "") -> tuple[str, str]:
        there = printed(command, records + at, *flags, *store.flags()).replace(records, "FOLDER")
        return there, printed(command, str(exportable) + at, *flags).replace(str(exportable), "FOLDER")

    try:
        for told in zip(*map(str.splitlines, both("verify")), strict=True):
            assert told[0] == told[1] or "records/s" in told[0]
        there, here = both("show", f"--png={tmp_path / 'record.png'}", at="/train.tfrecord-00001-of-00003:2")
        assert there == here != ""
        there, here = both("training-config", "--model=ssd", "--folder=FOLDER")
        assert there == here != ""
        with monkeypatch.context() as patched:
            # Processes of their own need the flags, too.
            patched.setattr("oi_tfrecord.shard_map.SHARDS_PER_WORKER", 3)
            there, here = both("report", "--format=json", "--output=-", "--workers=2")
        assert there == here != ""
        printed("report", records, *store.flags())
        assert store.get_all("records/report.html")[""].startswith(b"<!doctype html>")
        printed("export", records, f"--to={store.root}/tables", *store.flags())
        printed("export", str(exportable), f"--to={tmp_path / 'tables'}")
        assert store.get_all("tables/") == dict(files_below(tmp_path / "tables"))
        assert "images     52" in printed("browse", records, "--port=0", *store.flags())
        storage.use_options(store.flags())
        served = Dataset(records, open_index(records, "", 1, io.StringIO()))
        first = served.list_images(Query(), 0, 1)["images"][0]
        assert served.read_image(0)[0].startswith(b"\xff\xd8")
        assert served.describe_image(0, Query())["attribution"]["author"]
        assert served.find_record(first["split"], first["id"]) == 0
    finally:
        storage.use_options([])
