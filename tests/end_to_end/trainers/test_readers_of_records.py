"""RecordDataset in Grain, a third-party reader."""

import contextlib
import pathlib
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from tests.conftest import convert_arguments
from tests.support.optional import require


@pytest.fixture(scope="module")
def output_dir(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("readers") / "out"
    assert main(["convert", *convert_arguments(sample, folder, split="validation")]) == 0
    return str(folder)


def ids_of(items: Any) -> list[str]:
    return [target["image_id"] for _, target in items]


def test_grain_shards_and_resumes(output_dir: str) -> None:
    grain = require("grain")
    records = RecordDataset(output_dir, "validation", target="torchvision")
    ids = ids_of(records)
    # Of two hosts, each reads its slice; the slice of the records and that of Grain are the same.
    parts = [list(ids_of(grain.MapDataset.source(records)[host::2])) for host in range(2)]
    assert parts == [ids_of(grain.MapDataset.source(records[host::2])) for host in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(ids)
    shuffled = grain.MapDataset.source(records).shuffle(seed=3).to_iter_dataset()
    reading = iter(shuffled)
    first = ids_of(next(reading) for _ in range(4))
    state = reading.get_state()
    rest = ids_of(reading)
    assert sorted(first + rest) == sorted(ids)
    resumed = iter(shuffled)
    resumed.set_state(state)
    assert ids_of(resumed) == rest


def test_worker_processes_of_grain_read_a_part_and_resume(output_dir: str) -> None:
    grain = require("grain")
    records = RecordDataset(output_dir, "validation", image_size=(32, 32), target="torchvision")
    part = grain.MapDataset.source(records).shuffle(seed=3)[1::2]
    workers = grain.MultiprocessingOptions(num_workers=2)
    dataset = part.to_iter_dataset(grain.ReadOptions(num_threads=2)).mp_prefetch(workers)
    # A reader that is left open leaves its shared memory behind.
    with contextlib.closing(iter(dataset)) as reading, contextlib.closing(iter(dataset)) as resumed:
        first = ids_of(next(reading) for _ in range(3))
        resumed.set_state(reading.get_state())
        rest = ids_of(reading)
        assert first + rest == ids_of(part)
        assert ids_of(resumed) == rest
