import pathlib
from collections.abc import Iterable, Mapping

import pytest

from oi_tfrecord.dataset.splits import find_records, read_record
from oi_tfrecord.engine.map_shards import map_shards
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import RecordFault, parse_example
from tests.support.few_records import image, make_example, write_shard


def list_places(records: Iterable[tuple[int, bytes]], mid_of: Mapping[int, str]) -> list[tuple[int, bytes]]:
    return list(records)


def refuse_wide(records: Iterable[tuple[int, bytes]], mid_of: Mapping[int, str]) -> int:
    for _, data in records:
        if parse_example(data).get("image/width") == 99:
            raise RecordFault("it is wide")
    return 0


def make_shards(folder: pathlib.Path, shards: int) -> list[str]:
    paths = [folder / f"train-{number:05d}-of-{shards:05d}" for number in range(shards)]
    for number, path in enumerate(paths):
        write_shard(path, [make_example(**image(width=98 + place, height=number)) for place in range(3)])
    return [str(path) for path in paths]


@pytest.mark.parametrize("workers", [1, 2])
def test_each_shard_is_read_in_order_with_places_of_its_data(tmp_path: pathlib.Path, workers: int) -> None:
    shards = make_shards(tmp_path, 9)
    found = list(map_shards(list_places, shards, {}, workers))
    assert [[offset for offset, _ in places] for places in found] == [
        find_records(path)[:, 0].tolist() for path in shards
    ]
    for path, places in zip(shards, found, strict=True):
        assert [data for _, data in places] == [read_record(path, offset, len(data)) for offset, data in places]


def test_the_record_to_blame_is_named(tmp_path: pathlib.Path) -> None:
    [shard] = make_shards(tmp_path, 1)
    with pytest.raises(InputError, match="record 1: it is wide") as error:
        list(map_shards(refuse_wide, [shard], {}, 1))
    assert error.value.path == shard
    whole = pathlib.Path(shard).read_bytes()
    pathlib.Path(shard).write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"record 2 at byte .* cut off"):
        list(map_shards(list_places, [shard], {}, 1))
    write_shard(pathlib.Path(shard), [b"", b"\xff\xff"])
    with pytest.raises(InputError, match="record 1: not a "):
        list(map_shards(refuse_wide, [shard], {}, 1))
    pathlib.Path(shard).unlink()
    with pytest.raises(InputError, match="the shard is gone"):
        list(map_shards(list_places, [shard], {}, 1))
