"""A worker that never gets to the manifest, so that a test can interfere when all shards are written."""

import time
from collections.abc import Iterator

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine import process_worker as boot_worker


def wait(self: WorkFolder) -> Iterator[str]:
    while True:
        time.sleep(1)


if __name__ == "__main__":
    # The list of rejects is the last but one file that is written.
    WorkFolder.rejects = wait  # type: ignore[method-assign]
    boot_worker.main()
