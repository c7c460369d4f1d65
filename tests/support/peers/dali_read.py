"""Reads a split with NVIDIA DALI on the CPU, by the indexes that lie beside the shards.

Run as: python dali_read.py FOLDER SPLIT. Prints, as JSON, the records that DALI counts; of each record the ImageID, the
shape of its image and its boxes and labels; and the shards whose index is not what DALI's own `tfrecord2idx` writes.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from nvidia.dali import fn, pipeline_def, tfrecord  # type: ignore[import-not-found]

SIDES = ("ymin", "xmin", "ymax", "xmax")


def index_of(shard: pathlib.Path) -> pathlib.Path:
    """Returns the index of a shard."""
    return shard.parent / "index" / f"{shard.name.replace('.tfrecord', '')}.idx"


def differs(shard: pathlib.Path) -> bool:
    """Returns whether the index of a shard is not what `tfrecord2idx` writes."""
    program = pathlib.Path(sys.executable).with_name("tfrecord2idx")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "own.idx"
        subprocess.run([sys.executable, program, shard, path], check=True)
        return path.read_bytes() != index_of(shard).read_bytes()


@pipeline_def(batch_size=1, num_threads=2, device_id=None)
def read(shards: list[pathlib.Path]) -> tuple:
    """Reads the records in order."""
    read = fn.readers.tfrecord(
        path=[str(shard) for shard in shards],
        index_path=[str(index_of(shard)) for shard in shards],
        features={
            "image/encoded": tfrecord.FixedLenFeature((), tfrecord.string, ""),
            "image/source_id": tfrecord.FixedLenFeature((), tfrecord.string, ""),
            **{f"image/object/bbox/{side}": tfrecord.VarLenFeature(tfrecord.float32, 0.0) for side in SIDES},
            "image/object/class/label": tfrecord.VarLenFeature(tfrecord.int64, 0),
        },
        name="records",
    )
    sides = (read[f"image/object/bbox/{side}"] for side in SIDES)
    image = fn.decoders.image(read["image/encoded"], device="cpu")
    return image, read["image/source_id"], read["image/object/class/label"], *sides


def main() -> None:
    """Prints what DALI reads."""
    folder, split = pathlib.Path(sys.argv[1]), sys.argv[2]
    shards = sorted(folder.glob(f"{split}.tfrecord-*"))
    reader = read(shards)
    reader.build()
    count = reader.epoch_size("records")
    records = []
    for _ in range(count):
        image, image_id, labels, *sides = (np.array(values[0]) for values in reader.run())
        boxes = np.stack(sides, axis=-1).tolist()
        records.append([image_id.tobytes().decode(), image.shape, boxes, labels.tolist()])
    other = [shard.name for shard in shards if differs(shard)]
    print(json.dumps({"count": count, "records": records, "other_indexes": other}))


if __name__ == "__main__":
    main()
