"""RecordDataset in the readers of other libraries: PyTorch's DataLoader with torchvision, and Grain."""

import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from tests.conftest import REPOSITORY, convert_arguments
from tests.support.optional import peer_python, require


@pytest.fixture(scope="module")
def output_dir(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("readers") / "out"
    assert main(["convert", *convert_arguments(sample, folder, split="validation")]) == 0
    return str(folder)


def ids_of(items: Any) -> list[str]:
    return [target["image_id"] for _, target in items]


def test_a_data_loader_reads_in_processes_of_each_kind_and_torchvision_computes_losses(output_dir: str) -> None:
    python = peer_python("torchvision")
    script = REPOSITORY / "tests" / "support" / "peers" / "torchvision_read.py"
    done = subprocess.run(
        [python, script, output_dir, "validation"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    ids = sorted(ids_of(RecordDataset(output_dir, "validation", target="torchvision")))
    assert found["ids"] == dict.fromkeys(("fork", "spawn", "forkserver"), ids)
    assert found["finite"]
    assert len(found["losses"]) == 2


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
