import pathlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.record_index import ShardIndex
from oi_tfrecord.derive.repeated_images import find_repeated
from oi_tfrecord.derive.shard import DerivedJob, find_places
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.sharding import overlapping_shards, shard_of

SOURCES = st.lists(st.tuples(st.sets(st.integers(0, 40), max_size=20), st.integers(1, 5)), min_size=1, max_size=3)


def make_job(folder: pathlib.Path, sources: list[tuple[set[int], int]], num_shards: int) -> DerivedJob:
    """Returns a job whose sources' indexes hold these images, with one box each."""
    paths = tuple(
        tuple(f"{number}/train.tfrecord-{shard:05d}-of-{shards:05d}" for shard in range(shards))
        for number, (_, shards) in enumerate(sources)
    )
    job = DerivedJob("train", "out", WorkFolder(str(folder)), paths, "boxes", "left", num_shards)
    for path in (folder / "index", folder / "temporary"):
        path.mkdir(exist_ok=True)
    for number, (images, shards) in enumerate(sources):
        ids = np.array(sorted(images), np.uint64)
        ids = ids[np.argsort(hash_ids(ids))]
        for shard in range(shards):
            own = ids[shard_of(hash_ids(ids), shards) == shard]
            count = len(own)
            index = ShardIndex(
                own,
                np.arange(count) * 10,
                np.full(count, 10),
                np.arange(count + 1),
                np.zeros(count, np.int64),
                np.tile(np.array([1, 0, 0]), (count, 1)),
            )
            job.index.write(number, shard, index, RecordCounts(records=count))
    return job


@settings(deadline=None, max_examples=40)
@given(SOURCES, st.integers(1, 5), st.integers(1, 4))
def test_each_image_is_taken_once_from_the_first_source_that_has_it(
    tmp_path_factory: object, sources: list[tuple[set[int], int]], num_shards: int, parts: int
) -> None:
    folder = tmp_path_factory.mktemp("job")  # type: ignore[attr-defined]
    job = make_job(folder, sources, num_shards)
    listed = [(job, number) for number in range(len(sources))]
    for part in range(parts):
        for again in find_repeated(listed, part, parts):
            index = job.index.read(again.source, again.shard)
            image_id = int(index.image_ids[again.records[0]])
            assert again.image_id == f"{image_id:016x}"
            first = next(number for number, (images, _) in enumerate(sources) if image_id in images)
            assert again.first_path.startswith(f"{first}/")
            assert again.path == job.sources[again.source][again.shard]
            kept = job.index.read_selection(again.source, again.shard, len(index.image_ids))
            assert kept[again.records].all()
            kept[again.records] = False
            job.index.write_selection(again.source, again.shard, kept)
    taken: list[tuple[int, int]] = []
    left_out = 0
    for shard in range(num_shards):
        places = find_places(job, shard)
        assert (np.diff(places.hashes.astype(object)) > 0).all()
        assert (shard_of(places.hashes, num_shards) == shard).all()
        taken += zip(places.hashes.tolist(), places.source.tolist(), strict=True)
        left_out += int(places.left_out[0])
        assert places.left_out[0] == places.left_out[1]
    expected = {}
    for number, (images, _) in reversed(list(enumerate(sources))):
        expected.update(dict.fromkeys(images, number))
    hashes = hash_ids(np.array(list(expected), np.uint64)).tolist()
    assert sorted(taken) == sorted(zip(hashes, expected.values(), strict=True))
    assert left_out == sum(len(images) for images, _ in sources) - len(expected)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**64 - 1))
def test_shards_overlap_that_share_a_hash(one: int, other: int, value: int) -> None:
    hashes = np.array([value], np.uint64)
    [shard], [of_other] = shard_of(hashes, one).tolist(), shard_of(hashes, other).tolist()
    assert of_other in overlapping_shards(shard, one, other)
    assert list(overlapping_shards(shard, one, one)) == [shard]
    assert overlapping_shards(0, one, other).start == 0
    assert overlapping_shards(one - 1, one, other).stop == other
