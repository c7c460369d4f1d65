import pytest

from oi_tfrecord.explore.browse.search_rows import flag_bits, make_search_rows
from oi_tfrecord.records.example_reader import RecordFault
from oi_tfrecord.records.example_writer import int64_feature
from tests.support.few_records import boxes, floats, image, make_example, texts

WHOLE = (0, 0, 1, 1)


def test_rows_have_places_boxes_and_labels() -> None:
    first = make_example(
        **image(10, 20, image_id="a1"),
        **boxes(WHOLE, WHOLE, mids=("/m/a", "/m/b")),
        object__group_of=int64_feature((1, 0)),
        object__source=texts("xclick", "freeform"),
        class__text=texts("/m/b", "/m/a"),
        class__confidence=floats(0, 1),
    )
    second = make_example(
        **image(30, 40, image_id="b2"), **boxes(WHOLE, mids=("/m/b",)), machine_class__text=texts("c")
    )
    rows = make_search_rows([(12, first), (500, second)], {})
    assert rows.image_ids == [b"a1", b"b2"]
    assert rows.places.tolist() == [[12, len(first)], [500, len(second)]]
    assert rows.sizes.tolist() == [[10, 20], [30, 40]]
    assert rows.box_records.tolist() == [0, 0, 1]
    assert [rows.classes[place] for place in rows.box_classes] == ["/m/a", "/m/b", "/m/b"]
    assert [rows.sources[place] for place in rows.box_sources] == ["xclick", "freeform", ""]
    is_set, is_known = flag_bits("group_of")
    assert rows.box_flags.tolist() == [is_set | is_known, is_known, 0]
    named = {kind: [(record, rows.classes[place]) for record, place in pairs] for kind, pairs in rows.labels.items()}
    assert named == {"positive": [(0, "/m/a")], "negative": [(0, "/m/b")], "machine": [(1, "c")]}


def test_a_shard_without_records_or_boxes_has_empty_rows() -> None:
    assert make_search_rows([], {}).places.shape == (0, 2)
    rows = make_search_rows([(12, b"")], {})
    assert (rows.image_ids, rows.box_records.tolist(), rows.labels["machine"].shape) == ([b""], [], (0, 2))


def test_flags_have_bits_of_their_own() -> None:
    bits = [bit for flag in ("occluded", "truncated", "group_of", "depiction", "inside") for bit in flag_bits(flag)]
    assert len(set(bits)) == 10
    assert all(bit.bit_count() == 1 and bit < 1 << 16 for bit in bits)


@pytest.mark.parametrize(
    "features",
    [
        boxes(WHOLE, mids=("/m/a", "/m/b")),
        boxes(WHOLE, mids=("/m/a",)) | {"object__source": texts("a", "b")},
        boxes(WHOLE, mids=("/m/a",)) | {"object__inside": int64_feature(())},
        {"class__text": texts("/m/a"), "class__confidence": floats()},
    ],
)
def test_lists_that_do_not_belong_together_are_a_fault(features: dict[str, bytes]) -> None:
    with pytest.raises(RecordFault):
        make_search_rows([(12, make_example(**image(), **features))], {})
