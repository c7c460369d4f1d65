import pathlib

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.conversion.transforms import LimitImages
from oi_tfrecord.conversion.write_shards import read_batches
from oi_tfrecord.join.batches import Batch, encode
from oi_tfrecord.openimages.csv.filters import EVERY_IMAGE, sample_hash
from oi_tfrecord.openimages.schema import METADATA_ROW, RangeKey, Table
from tests.support import small_release


def batch_of(image_ids: list[int]) -> bytes:
    rows = np.zeros(len(image_ids), METADATA_ROW)
    rows["image_id"] = image_ids
    return encode(Batch(RangeKey(Table.METADATA, 0, 0), 0, (), rows, {}))


@pytest.mark.parametrize(("max_images", "kept"), [(1, 1), (4, 4), (9, 9), (50, 9)])
def test_as_many_images_of_all_shards_are_below_the_limit(max_images: int, kept: int, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=4, faults=False)
    plan = make_plan(parse_convert(release.flags(tmp_path / "out")).config)
    plan.work.create(plan.fingerprint)
    shards = [(0, [batch_of([1, 2, 3]), batch_of([4])]), (1, [batch_of([5, 6, 7, 8, 9])]), (2, [b""])]
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline | beam.Create(shards) | LimitImages(plan.shard_job(), max_images, read_batches)
    pipeline.run().wait_until_finish()
    limit = plan.work.limit()
    below = [image for image in range(1, 10) if int(sample_hash(np.array([image], np.uint64))[0]) < limit]
    assert len(below) == kept
    assert limit < EVERY_IMAGE or max_images >= 9
