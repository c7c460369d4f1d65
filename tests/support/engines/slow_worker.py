"""A worker that takes its time for each image, so that a test can interfere while shards are being written."""

import time
from typing import Any

from oi_tfrecord.conversion import shard_images
from oi_tfrecord.engine import process_worker
from oi_tfrecord.images.values import PreparedImage

SECONDS = 0.2
_prepare = shard_images.prepare


def prepare_slowly(*arguments: Any) -> PreparedImage:
    time.sleep(SECONDS)
    return _prepare(*arguments)


if __name__ == "__main__":
    shard_images.prepare = prepare_slowly
    process_worker.main()
