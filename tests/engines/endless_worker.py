"""A worker that never gets to the manifest, so that a test can interfere when all shards are written."""

import time
from collections.abc import Iterator

from oi_tfrecord import boot_worker
from oi_tfrecord.work_folder import WorkFolder


def wait(self: WorkFolder) -> Iterator[str]:
    while True:
        time.sleep(1)


if __name__ == "__main__":
    # The list of rejects is the last but one file that is written.
    WorkFolder.rejects = wait  # type: ignore[method-assign]
    boot_worker.main()
