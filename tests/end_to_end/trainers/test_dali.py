"""Records in NVIDIA DALI on the CPU, by the indexes beside the shards; `make trainings` installs its environment."""

import json
import pathlib
import subprocess

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from tests.conftest import REPOSITORY, convert_arguments
from tests.support.optional import peer_python


def test_dali_reads_every_record_by_the_indexes(sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert main(["convert", *convert_arguments(sample, tmp_path, split="validation")]) == 0
    script = REPOSITORY / "tests" / "support" / "peers" / "dali_read.py"
    done = subprocess.run(
        [peer_python("dali"), script, tmp_path, "validation"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    records = RecordDataset(str(tmp_path), "validation")
    assert found["records"] == [
        [
            record["image_id"].decode(), list(record["image"].shape), record["boxes"].tolist(),
            record["labels"].tolist(),
        ]
        for record in records
    ]  # fmt: skip
    assert found["count"] == len(records) > 5
    assert found["other_indexes"] == []
