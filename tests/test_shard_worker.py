import json
import pathlib

from oi_tfrecord.transforms.shard_worker import ShardWorker
from oi_tfrecord.work_folder import WorkFolder


def test_what_is_reported_last_is_there_when_the_worker_ends(tmp_path: pathlib.Path) -> None:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})
    worker = ShardWorker(work)
    worker.setup()
    for shard in range(3):
        worker._reporter.end_shard(records=10 + shard, image_bytes=100, rejects=1)
    worker.teardown()
    [report] = map(json.loads, work.progress())
    assert (report["records"], report["bytes"], report["rejects"], report["shards"]) == (33, 300, 3, 3)
