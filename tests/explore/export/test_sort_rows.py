import itertools
import pathlib
import tempfile

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.explore.export.sort_rows import SortedRuns, merge_runs

SCHEMA = pa.schema([("image_id", pa.string()), ("number", pa.int32()), ("value", pa.int64())])
keys = st.text(st.sampled_from("0f\u00e4\U0001f600"), max_size=3)


def table_of(images: list[str], counts: dict[str, int]) -> pa.Table:
    rows = [
        {"image_id": image, "number": n, "value": hash((image, n))} for image in images for n in range(counts[image])
    ]
    return pa.Table.from_pylist(rows[::-1], SCHEMA)


@settings(deadline=None)
@given(
    counts=st.dictionaries(keys, st.integers(0, 4), max_size=30),
    shards=st.integers(1, 6),
    rows=st.integers(1, 40),
    data=st.data(),
)
def test_all_rows_come_in_order(counts: dict[str, int], shards: int, rows: int, data: st.DataObject) -> None:
    shard_of = {image: data.draw(st.integers(0, shards - 1)) for image in counts}
    with tempfile.TemporaryDirectory() as folder:
        runs = SortedRuns(str(pathlib.Path(folder) / "runs"), SCHEMA, ["image_id", "number"])
        for shard in range(shards):
            runs.add(table_of([image for image in counts if shard_of[image] == shard], counts))
        merged = [row for piece in runs.merge(rows) for row in piece.to_pylist()]
    expected = table_of(list(counts), counts).to_pylist()
    assert merged == sorted(expected, key=lambda row: (row["image_id"], row["number"]))


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 300), max_size=12), rows=st.integers(1, 200))
def test_pieces_are_bounded(sizes: list[int], rows: int) -> None:
    ids = (f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}" for number in itertools.count(1))
    runs = [pa.record_batch({"image_id": sorted(itertools.islice(ids, size))}) for size in sizes if size]
    pieces = [piece.num_rows for piece in merge_runs(runs, "image_id", rows)]
    assert sum(pieces) == sum(sizes)
    # A cut may be a step of each run too late.
    step = max(rows // max(len(runs), 1), 1)
    assert all(0 < piece <= rows + step * (len(runs) + 1) for piece in pieces)
