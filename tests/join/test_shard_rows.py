from collections.abc import Sequence

import numpy as np

from oi_tfrecord.join.batches import Batch, decode, encode
from oi_tfrecord.join.shard_rows import collect_tables
from oi_tfrecord.openimages.schema import LABEL_ROW, RangeKey, Table


def labels_of(key: RangeKey, sources: Sequence[str]) -> Batch:
    """Returns a batch with one row per source."""
    rows = np.zeros(len(sources), LABEL_ROW)
    rows["image_id"] = rows["line"] = rows["source"] = np.arange(len(sources))
    return Batch(key, 0, tuple(sources), rows, {})


def test_range_without_source_column_has_no_source() -> None:
    named = labels_of(RangeKey(Table.HUMAN_LABELS, 0, 0), ["verification"])
    unnamed = labels_of(RangeKey(Table.HUMAN_LABELS, 1, 0), [""])
    merged = collect_tables([decode(encode(unnamed)), decode(encode(named))])[Table.HUMAN_LABELS]
    assert [merged.sources[code] for code in merged.rows["source"]] == ["verification", ""]


def test_more_sources_than_a_byte_counts_become_other() -> None:
    batches = [
        labels_of(RangeKey(Table.HUMAN_LABELS, 0, index), [f"{index}-{number}" for number in range(120)])
        for index in range(3)
    ]
    merged = collect_tables(batches)[Table.HUMAN_LABELS]
    expected = [name for batch in batches for name in batch.sources]
    assert [merged.sources[code] for code in merged.rows["source"]] == expected[:255] + ["other"] * 105
