import contextlib
import json
import pathlib
import subprocess
import sys
import threading

import pytest

from oi_tfrecord import storage
from oi_tfrecord.dataset import lease, publish_split
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.dataset.publish_split import update_manifest
from oi_tfrecord.dataset.run_lock import hold_split, split_lock
from oi_tfrecord.errors import ConfigError, EngineError
from oi_tfrecord.storage.object_versions import create_object, read_object, replace_object
from tests.conftest import REPOSITORY
from tests.support.object_servers import Store

HOLDER = """
import sys
from oi_tfrecord import storage
from oi_tfrecord.dataset import lease
from oi_tfrecord.dataset.run_lock import hold_split
lease.BEAT_SECONDS = 0.05
storage.use_options(sys.argv[2:])
with hold_split(sys.argv[1], "train"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(s3_server: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of the store, which this process reaches, for one test alone."""
    storage.use_options(s3_server.flags())
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)
    return f"{s3_server.root}/{request.node.name.translate(str.maketrans('[]', '--'))}"


def holder_of(folder: str, s3_server: Store) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder, *s3_server.flags()],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def names_in(folder: str) -> list[str]:
    return [pathlib.PurePosixPath(info.path).name for info in storage.match(folder + "/**")]


def test_a_second_run_of_a_split_is_refused_and_names_the_process(folder: str, s3_server: Store) -> None:
    process = holder_of(folder, s3_server)
    with (
        pytest.raises(ConfigError, match=f"is being written by process {process.pid} on "),
        hold_split(folder, "train"),
    ):
        pass
    # Another split of the folder is free.
    with hold_split(folder, "validation"):
        assert split_lock("validation") in names_in(folder)
    process.communicate("end\n")
    with hold_split(folder, "train"):
        pass
    assert names_in(folder) == []


def test_a_killed_process_holds_no_lock(folder: str, s3_server: Store) -> None:
    process = holder_of(folder, s3_server)
    process.kill()
    process.communicate()
    assert names_in(folder) == [split_lock("train")]
    with hold_split(folder, "train"):
        pass
    assert names_in(folder) == []


def test_a_lock_of_another_host_that_no_longer_changes_expires(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = lease.Holder("elsewhere", 1, "a run")
    assert create_object(f"{folder}/{split_lock('train')}", dead.encode())
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.1)
    with hold_split(folder, "train"):
        held = read_object(f"{folder}/{split_lock('train')}")
        assert held is not None
        assert lease.Holder.parse(held.data).host != "elsewhere"
    assert names_in(folder) == []


def test_a_process_whose_lock_was_taken_over_stops(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)
    path = f"{folder}/{split_lock('train')}"

    def lose() -> None:
        with hold_split(folder, "train"):
            storage.write(path, lease.Holder("elsewhere", 1, "another run").encode(), "")
            threading.Event().wait()

    with pytest.raises(EngineError, match="was taken over by another process"):
        lose()
    # The lock of the other process stays.
    assert names_in(folder) == [split_lock("train")]


def test_an_object_is_replaced_only_as_it_was(folder: str) -> None:
    path = f"{folder}/object"
    first = create_object(path, b"1")
    assert first is not None
    assert create_object(path, b"2") is None
    second = replace_object(path, b"2", first)
    assert second is not None
    assert replace_object(path, b"3", first) is None
    found = read_object(path)
    assert found is not None
    assert found.data == b"2"
    assert read_object(f"{folder}/missing") is None


@pytest.mark.parametrize("has_lock", [True, False])
def test_splits_that_end_at_the_same_time_are_all_in_the_manifest(
    has_lock: bool, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_lock:
        # As if each process was stopped for longer than a lock lasts.
        monkeypatch.setattr(publish_split, "hold_folder", contextlib.nullcontext)

    def end(number: int) -> None:
        update_manifest(folder, f"split{number}", {"number": number}, "")

    threads = [threading.Thread(target=end, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    data = read_manifest(folder)
    assert data is not None
    assert set(json.loads(data)["splits"]) == {f"split{number}" for number in range(6)}
    assert names_in(folder) == ["manifest.json"]
