"""A worker that takes its time for each image, so that a test can interfere while shards are being written."""

import time

from oi_tfrecord import boot_worker, shard_job
from oi_tfrecord.images import ImageOptions, PreparedImage

SECONDS = 0.2
_prepare = shard_job.prepare


def prepare_slowly(data: bytes, options: ImageOptions) -> PreparedImage:
    time.sleep(SECONDS)
    return _prepare(data, options)


if __name__ == "__main__":
    shard_job.prepare = prepare_slowly
    boot_worker.main()
