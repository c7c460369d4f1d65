import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.join.archive_places import locate_files
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW, RangeKey, Table


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=20))
def test_the_first_place_of_each_image_is_taken(count: int, listed: list[tuple[int, int]]) -> None:
    listed = sorted(listed, key=lambda item: item[1])
    image_of = np.array([image for image, _ in listed], np.int64)
    rows = np.zeros(len(listed), IMAGE_FILE_ROW)
    rows["offset"] = np.arange(len(listed)) + 1
    table = ShardRows(
        rows,
        (),
        tuple(RangeKey(Table.IMAGE_FILES, archive, 0) for archive in range(4)),
        np.array([archive for _, archive in listed], np.int64),
        {},
    )
    located = locate_files(table, image_of, image_of < count, count)
    files = located.files
    seen: dict[int, int] = {}
    again = [
        number for number, (image, _) in enumerate(listed) if image < count and seen.setdefault(image, number) != number
    ]
    assert located.repeated.tolist() == again
    assert located.originals.tolist() == [seen[listed[number][0]] for number in again]
    assert located.unmatched_count == sum(image >= count for image, _ in listed)
    assert len(files.archives) == len(files.rows) == count
    for image in range(count):
        number = seen.get(image)
        assert files.archives[image] == (-1 if number is None else listed[number][1])
        assert files.rows["offset"][image] == (0 if number is None else number + 1)
