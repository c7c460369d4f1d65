"""Times what a conversion does with images on a sample of them: read, check, encode, hash, write."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.dry_run.predict import ImageTiming
from oi_tfrecord.conversion.shard import ShardJob, convert_shard
from oi_tfrecord.engine.threads import run_on_threads
from oi_tfrecord.join.batches import Batch
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.openimages.schema import RangeKey, Table, row_type
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.protocol import ImageSource, ShardImages

FOLDER = "timing"

_WARM_UP = 8

_LEAST_SECONDS = 1.0


def time_sample(
    job: ShardJob,
    image_ids: Sequence[str],
    rows_per_image: Mapping[Table, float],
    lanes: int,
    read_sample: Callable[[str], bytes] | None = None,
) -> ImageTiming:
    """Writes shards of sampled images beside the output, times it and deletes them.

    Args:
        job: the conversion.
        image_ids: of the sample.
        rows_per_image: rows of boxes and labels that a record has on average.
        lanes: shards to write at once.
        read_sample: returns the bytes of one; by default the source of the job does.
    """
    folder = storage.join(job.output_dir, FOLDER)
    work = dataclasses.replace(job.work, path=storage.join(folder, "work"))
    work.create({})
    sampled = dataclasses.replace(
        job,
        num_shards=lanes,
        output_dir=folder,
        work=work,
        driver=Table.METADATA,
        select="all",
        files=dict.fromkeys(Table, ("",)),
        # A pattern names the files of any image; others need rows of tables, which a sample has not.
        source=job.source
        if isinstance(job.source, PatternSource)
        else _Sampled(job.source, read_sample or job.source.sample),
        layout=dataclasses.replace(job.layout, extra_keys=frozenset()),
        masks=None,
        hierarchy=None,
        dry_run=False,
        attribution_csv=False,
    )
    batches = _make_rows(image_ids, rows_per_image, len(job.mids))
    try:
        # The first images pay for what is loaded and opened once.
        _write(sampled, 0, _make_rows(image_ids[:_WARM_UP], rows_per_image, len(job.mids)))
        began, cpu_began = time.perf_counter(), sum(os.times()[:2])

        def write_until_it_tells(shard: int) -> int:
            records = 0
            # Images in the page cache are done so fast that one pass would tell little; others take their time.
            while time.perf_counter() < began + _LEAST_SECONDS:
                records += (written := _write(sampled, shard, batches))
                if not written:
                    break
            return records

        records = sum(run_on_threads(write_until_it_tells, range(lanes), lanes))
        seconds = time.perf_counter() - began
        return ImageTiming(records, seconds, sum(os.times()[:2]) - cpu_began, lanes)
    finally:
        storage.delete_folder(folder)


def _make_rows(image_ids: Sequence[str], rows_per_image: Mapping[Table, float], classes: int) -> list[Batch]:
    """Returns rows of images with as many boxes and labels each as they have on average."""
    ids = np.array([int(image_id, 16) for image_id in image_ids], np.uint64)
    batches = []
    for table, mean in {Table.METADATA: 1.0, **rows_per_image}.items():
        count = round(mean) if table is Table.BOXES else min(round(mean), classes)
        rows = np.zeros(len(ids) * count, row_type(table))
        rows["image_id"] = np.repeat(ids, count)
        if table is not Table.METADATA:
            number = np.tile(np.arange(count), len(ids))
            rows["label"] = number % max(classes, 1)
            rows["confidence"] = 1
        if table is Table.BOXES:
            # Equal boxes would be taken for one.
            rows["xmax"], rows["ymax"] = (number + 1) / max(count, 1), 1
        sources = ("verification",) if "source" in (rows.dtype.names or ()) else ()
        batches.append(Batch(RangeKey(table, 0, 0), 0, sources, rows, {}))
    return batches


def _write(job: ShardJob, shard: int, batches: Sequence[Batch]) -> int:
    return convert_shard(job, shard, batches, LabelMap(())).records


@dataclasses.dataclass(frozen=True)
class _Sampled:
    """The images of a source, each read as a sample, which needs no row of a table."""

    source: ImageSource
    read_sample: Callable[[str], bytes]

    @property
    def is_remote(self) -> bool:
        return self.source.is_remote

    @property
    def texts(self) -> frozenset[str]:
        return frozenset()

    def where(self, image_id: str) -> str:
        return self.source.where(image_id)

    def size(self, image_id: str) -> int | None:
        return self.source.size(image_id)

    def sample(self, image_id: str) -> bytes:
        return self.read_sample(image_id)

    def of_shard(self, joined: JoinedShard) -> "_SampledImages":
        return _SampledImages(self.read_sample, [format_id(image_id) for image_id in joined.image_ids.tolist()])


@dataclasses.dataclass(frozen=True)
class _SampledImages(ShardImages):
    read_sample: Callable[[str], bytes]
    image_ids: list[str]

    def read(self, index: int) -> bytes:
        return self.read_sample(self.image_ids[index])

    def path(self, index: int) -> str:
        return self.image_ids[index]
