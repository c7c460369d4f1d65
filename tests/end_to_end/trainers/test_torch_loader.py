"""RecordDataset in PyTorch's DataLoader with torchvision, whose environment `make trainings` installs."""

import json
import os
import pathlib
import subprocess

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from tests.conftest import REPOSITORY, convert_arguments
from tests.support.optional import peer_python


def test_a_data_loader_reads_in_processes_of_each_kind_and_torchvision_computes_losses(
    sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    output_dir = str(tmp_path)
    assert main(["convert", *convert_arguments(sample, tmp_path, split="validation")]) == 0
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
    records = RecordDataset(output_dir, "validation", target="torchvision")
    ids = sorted(target["image_id"] for _, target in records)
    assert found["ids"] == dict.fromkeys(("fork", "spawn", "forkserver"), ids)
    assert found["finite"]
    assert len(found["losses"]) == 2
