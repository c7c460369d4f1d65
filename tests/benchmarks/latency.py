"""How busy readers keep a store that answers late.

  python -m tests.benchmarks.latency --scheme=s3 --images=512 --delay_ms=50

Puts images into an S3 server or a GCS emulator on the loopback, starts the proxy of tests/support/slow_store.py
before it, and reads all through the conversion's own way (PatternSource, map_in_order, prepare) with 1, 4,
16 and 64 threads, several times in turn. Prints rates, their ratio to one reader's, the most requests at
once, connections, requests per image and processor time per image.
"""

import argparse
import os
import statistics
import time

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.shard import PREFETCH_BYTES
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.sources.files import PatternReader, PatternSource
from oi_tfrecord.storage.read_ahead import map_in_order
from tests.benchmarks.make_images import draw, with_comment
from tests.support.object_servers import serve
from tests.support.slow_store import SlowStore

READERS = (1, 4, 16, 64)
ONE_READER_IMAGES = 48
"""Read by one reader in a round: more would only take longer."""


def measure(images: PatternReader, readers: int, count: int) -> tuple[float, float]:
    """Reads `count` images; returns seconds and seconds of the processor."""
    options = ImageOptions()
    started, processor = time.perf_counter(), time.process_time()
    read = map_in_order(
        lambda index: prepare(images.read(index), options),
        range(count),
        threads=readers,
        max_bytes=PREFETCH_BYTES,
        size_of=lambda image: len(image.encoded),
        items_per_task=1,
    )
    assert sum(1 for _ in read) == count
    return time.perf_counter() - started, time.process_time() - processor


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", choices=("s3", "gs"), default="s3")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--delay_ms", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with serve(given.scheme) as store:
        ids = [f"{number:016x}" for number in range(given.images)]
        picture = draw(np.random.default_rng(1))
        for image_id in ids:
            store.put(f"{image_id}.jpg", with_comment(picture, image_id.encode()))
        slow = SlowStore(store.port)
        try:
            os.environ.update(store.environment(slow.port))
            storage.use_options(store.flags(slow.port))
            images = PatternReader(PatternSource(store.root + "/{image_id}.jpg", "train", 1 << 26), ids)
            measure(images, 4, given.images)
            rates: dict[int, list[float]] = {readers: [] for readers in READERS}
            for _ in range(given.rounds):
                for readers in READERS:
                    count = min(given.images, ONE_READER_IMAGES * readers)
                    slow.set(delay=given.delay_ms / 1000)
                    seconds, processor = measure(images, readers, count)
                    counts = slow.counts()
                    rates[readers].append(count / seconds)
                    ratio = rates[readers][-1] / rates[1][-1]
                    print(
                        f"{readers:3} readers: {count / seconds:7.1f} images/s, x {ratio:.1f},"
                        f" at most {counts['most']} at once, {counts['connections']} new connections,"
                        f" {sum(counts['requests'].values()) / count:.2f} requests/image,"
                        f" {1000 * processor / count:.2f} ms of processor/image",
                        flush=True,
                    )
            for readers in READERS:
                rate = statistics.median(rates[readers])
                print(f"{readers:3} readers: median {rate:7.1f} images/s, x {rate / statistics.median(rates[1]):.1f}")
        finally:
            slow.stop()


if __name__ == "__main__":
    main()
