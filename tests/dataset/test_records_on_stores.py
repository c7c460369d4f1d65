"""The readers for training on an S3 server, which no flag or variable names."""

import multiprocessing
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import oi_tfrecord
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.storage import store_settings
from tests.support.object_servers import Store, files_below, serve
from tests.support.optional import require


@pytest.fixture(scope="module")
def server(exportable: pathlib.Path) -> Iterator[Store]:
    require("boto3")
    require("moto")
    with serve("s3") as made:
        for name, data in files_below(exportable):
            made.put(f"records/{name}", data)
        yield made


@pytest.fixture
def options(server: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(store_settings._process, "of_stores", {})
    keys = {"access_key_id": "testing", "secret_access_key": "testing"}
    return {"endpoint": f"http://127.0.0.1:{server.port}", "region": "us-east-1", **keys}


def _ids(dataset: oi_tfrecord.RecordDataset, results: "multiprocessing.Queue[list[str]]") -> None:
    results.put([str(dataset[index]["image_id"]) for index in range(4)])


def test_a_dataset_takes_the_way_to_its_store_to_other_processes(
    server: Store, options: dict[str, Any], exportable: pathlib.Path
) -> None:
    local = oi_tfrecord.RecordDataset(str(exportable), "train", decode=False)
    dataset = oi_tfrecord.RecordDataset(f"{server.root}/records", "train", decode=False, storage_options=options)
    assert len(dataset) == len(local)
    assert [row["image"] for row in dataset] == [row["image"] for row in local]
    assert dataset[7]["image"] == local[7]["image"]
    expected = [str(local[index]["image_id"]) for index in range(4)]
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        results: Any = context.Queue()
        worker = context.Process(target=_ids, args=(dataset, results), daemon=True)
        worker.start()
        assert results.get(timeout=120) == expected
        worker.join()


def test_the_environment_names_the_store(
    server: Store, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL", options["endpoint"]), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert len(oi_tfrecord.RecordDataset(f"{server.root}/records", "validation")) > 0


def test_tensorflow_reads_records_of_a_store(server: Store, options: dict[str, Any], exportable: pathlib.Path) -> None:
    require("tensorflow")
    for shuffle in (0, 5):
        loaded = [
            [str(row["image_id"].numpy()) for row in oi_tfrecord.load(folder, "train", decode=False, seed=1, **more)]
            for folder, more in (
                (str(exportable), {"shuffle_buffer": shuffle}),
                (f"{server.root}/records", {"shuffle_buffer": shuffle, "storage_options": options}),
            )
        ]
        assert loaded[0] == loaded[1]
    assert find_splits(f"{server.root}/records")
