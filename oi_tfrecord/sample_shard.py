"""Times what a conversion does with images on a sample of them: read, check, encode, hash, write."""

import dataclasses
import os
import time
from collections.abc import Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.batches import Batch
from oi_tfrecord.estimate import ImageTiming
from oi_tfrecord.image_source import ImageSource
from oi_tfrecord.join import JoinedShard
from oi_tfrecord.label_map import LabelMap
from oi_tfrecord.record_keys import RecordLayout
from oi_tfrecord.shard_job import ShardJob, convert_shard
from oi_tfrecord.sharding import format_id
from oi_tfrecord.tables import METADATA_ROW, RangeKey, Table

FOLDER = "timing"
_WARM_UP = 8
_LEAST_SECONDS = 1.0


def time_sample(job: ShardJob, image_ids: Sequence[str]) -> ImageTiming:
    """Writes a shard of sampled images beside the output, times it and deletes it.

    Args:
      job: the conversion.
      image_ids: of the sample.
    """
    folder = storage.join(job.output_dir, FOLDER)
    work = dataclasses.replace(job.work, path=storage.join(folder, "work"))
    work.create({})
    sampled = dataclasses.replace(
        job,
        num_shards=1,
        output_dir=folder,
        work=work,
        driver=Table.METADATA,
        select="all",
        files={Table.METADATA: ("",)},
        source=_Sampled(job.source),
        layout=RecordLayout(frozenset({Table.METADATA}), frozenset(), frozenset()),
        hierarchy=None,
        dry_run=False,
    )
    try:
        # The first images pay for what is loaded and opened once.
        _write(sampled, image_ids[:_WARM_UP])
        began, cpu_began = time.perf_counter(), sum(os.times()[:2])
        records, seconds = 0, 0.0
        # Images in the page cache are done so fast that one pass would tell little; others take their time.
        while seconds < _LEAST_SECONDS:
            records += (written := _write(sampled, image_ids))
            seconds = time.perf_counter() - began
            if not written:
                break
        return ImageTiming(records, seconds, sum(os.times()[:2]) - cpu_began)
    finally:
        storage.delete_folder(folder)


def _write(job: ShardJob, image_ids: Sequence[str]) -> int:
    rows = np.zeros(len(image_ids), METADATA_ROW)
    rows["image_id"] = [int(image_id, 16) for image_id in image_ids]
    batch = Batch(RangeKey(Table.METADATA, 0, 0), 0, (), rows, {})
    return convert_shard(job, 0, [batch], LabelMap(())).records


@dataclasses.dataclass(frozen=True)
class _Sampled:
    """The images of a source, each read as a sample, which needs no row of a table."""

    source: ImageSource

    @property
    def is_remote(self) -> bool:
        return self.source.is_remote

    @property
    def texts(self) -> frozenset[str]:
        return frozenset()

    def size(self, image_id: str) -> int | None:
        return self.source.size(image_id)

    def sample(self, image_id: str) -> bytes:
        return self.source.sample(image_id)

    def of_shard(self, joined: JoinedShard) -> "_SampledImages":
        return _SampledImages(self.source, [format_id(image_id) for image_id in joined.image_ids.tolist()])


@dataclasses.dataclass(frozen=True)
class _SampledImages:
    source: ImageSource
    image_ids: list[str]

    def read(self, index: int) -> bytes:
        return self.source.sample(self.image_ids[index])

    def path(self, index: int) -> str:
        return self.image_ids[index]
