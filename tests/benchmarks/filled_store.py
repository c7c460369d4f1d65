"""A store on the loopback that is filled from within, as a client would take minutes to fill it.

  python -m tests.benchmarks.filled_store s3    # prints its port

Takes lines of JSON on its standard input: the name of a function of this module that yields (name, bytes) of objects,
and its arguments. Prints a line when the objects are there.
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount, encode_account
from oi_tfrecord.dataset.rejects_csv import Rejected, format_piece
from oi_tfrecord.dataset.shard_index import index_file
from oi_tfrecord.reasons import Reject
from oi_tfrecord.records.shard_names import shard_file
from tests.benchmarks.generate_v3 import class_mids
from tests.benchmarks.make_images import draw
from tests.support.object_servers import BUCKET, read_port

TABLES = "tables"
"""Folder of the tables; METADATA is the one that has a row for each image."""

METADATA = f"{TABLES}/train/images.csv"

_CLASSES = 600

_CLASSES_OF_SHARD = 300

_HEADERS = {
    "images.csv": b"ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,OriginalSize,"
    b"OriginalMD5,Thumbnail300KURL\n",
    "annotations-human-bbox.csv": b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n",
    "annotations-human.csv": b"ImageID,Source,LabelName,Confidence\n",
}

_ENDS = {
    "images.csv": b",train,,,,,,,,,\n",
    "annotations-human-bbox.csv": b",verification,/m/000,1,0.1,0.9,0.1,0.9\n",
    "annotations-human.csv": b",verification,/m/000,1\n",
}

_TABLE_IMAGES = 1_000_000
"""Images that have a box and a label: planning reads the same few samples of a table of any size."""


def make_inputs(images: int) -> Iterator[tuple[str, bytes]]:
    """Yields the tables of a split, and an image."""
    mids = class_mids(_CLASSES)
    names = "".join(f"{mid},Class {number}\n" for number, mid in enumerate(mids))
    yield f"{TABLES}/classes-bbox-trainable.txt", "".join(f"{mid}\n" for mid in mids).encode()
    yield f"{TABLES}/class-descriptions.csv", names.encode()
    for name, header in _HEADERS.items():
        rows = images if name == "images.csv" else min(images, _TABLE_IMAGES)
        yield f"{TABLES}/train/{name}", header + _rows(rows, _ENDS[name].replace(b"/m/000", mids[0].encode()))
    yield "image.jpg", draw(np.random.default_rng(1))


def _rows(count: int, end: bytes) -> bytes:
    """Returns `count` rows that begin with ImageIDs and end alike."""
    ids = np.sort(np.random.default_rng(1).integers(0, 1 << 63, count, np.uint64)).astype(">u8")
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    halves = ids.view(np.uint8).reshape(count, 8)
    rows = np.empty((count, 16 + len(end)), np.uint8)
    rows[:, 0:16:2] = digits[halves >> 4]
    rows[:, 1:16:2] = digits[halves & 15]
    rows[:, 16:] = np.frombuffer(end, np.uint8)
    return rows.tobytes()


def make_results(folder: str, num_shards: int, images: int, conversion: str) -> Iterator[tuple[str, bytes]]:
    """Yields what the workers of a conversion leave when each shard is written; a shard of these has no record."""
    work = f"{folder}/.oi_tfrecord-train"
    for shard in range(num_shards):
        account = dataclasses.replace(_make_account(shard, num_shards, images), conversion=conversion)
        yield f"{folder}/{account.file}", b""
        yield f"{folder}/{index_file(account.file)}", b""
        yield f"{work}/results/shard-{shard:05d}.json", encode_account(account)


def _make_account(shard: int, num_shards: int, images: int) -> ShardAccount:
    """Returns the account of a shard with an image that is not there, and with as many classes as real ones have."""
    rng = np.random.default_rng(shard)
    classes = sorted(rng.choice(_CLASSES, _CLASSES_OF_SHARD, replace=False).tolist())
    counts = {str(number + 1): int(count) for number, count in zip(classes, rng.integers(1, 40, 600), strict=False)}
    records = images // num_shards - 1
    image_id = f"{shard:016x}"
    return ShardAccount(
        shard=shard, file=shard_file("train", shard, num_shards), size=0, crc32c="00000000", sha256="",
        records=records, images_selected=records + 1, images_not_selected=0, images_rejected={"image_missing": 1},
        images_skipped={}, image_bytes=records * 294_000, images_reencoded={},
        tables={name: TableAccount(records, {"image_rejected": 1}, {}) for name in ("metadata", "boxes")},
        boxes_per_class=counts, positive_per_class=counts, negative_per_class=counts,
        sources={"boxes": {"verification": records}}, unknown_flags=0, most_boxes=9, most_expanded_boxes=9,
        images_over_100_boxes=0, image_counts={}, to_try_again={image_id: "image_missing"},
        rejects=format_piece([Rejected("images", f"{image_id}.jpg", -1, image_id, Reject.IMAGE_MISSING, "not there")]),
    )  # fmt: skip


def _serve_s3() -> tuple[int, Callable[[str, bytes], object]]:
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    backend = s3_backends["123456789012"]["aws"]
    return server.get_host_and_port()[1], lambda name, data: backend.put_object(BUCKET, name, data)


def _serve_gs() -> tuple[int, Callable[[str, bytes], object]]:
    from gcp_storage_emulator.handlers import objects
    from gcp_storage_emulator.server import create_server
    from gcp_storage_emulator.storage import Storage

    # The emulator would write all names again with each object.
    Storage._write_config_to_file = lambda self: None
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    stored: Any = server._storage
    port = server._api._httpd.server_port

    def put(name: str, data: bytes) -> None:
        resource = objects._make_object_resource(f"http://127.0.0.1:{port}", BUCKET, name, "text/plain", str(len(data)))
        stored.create_file(BUCKET, name, data, resource)

    return port, put


class FilledStore:
    """The store as a process of its own; a client makes its bucket before it is filled."""

    def __init__(self, scheme: str):
        """Starts the store.

        Args:
            scheme: `s3` or `gs`.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, scheme],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.port = read_port(self._process)

    def fill(self, function: Callable[..., Iterator[tuple[str, bytes]]], *arguments: object) -> None:
        """Puts the objects that a function of this module yields."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([function.__name__, *arguments]).encode() + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline(), "the store ended"

    def cpu_seconds(self) -> float:
        """Returns the processor time of the store until now."""
        with open(f"/proc/{self._process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ends the store."""
        self._process.kill()
        self._process.wait()


def main(scheme: str) -> None:
    """Serves, and fills the store as lines ask."""
    port, put = {"s3": _serve_s3, "gs": _serve_gs}[scheme]()
    print(port, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        for object_name, data in globals()[name](*arguments):
            put(object_name, data)
        print("done", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
