import threading

from oi_tfrecord.records.label_map import LabelMap, LabelMapItem, number_classes
from oi_tfrecord.records.packed_label_map import pack, unpack

RELATED = LabelMap(
    (LabelMapItem(1, "/m/a", "Ä, 'b'\n", (2,), ()), LabelMapItem(2, "/m/b", "", (), (1,)), LabelMapItem(9, "/m/c", "c"))
)


def test_a_label_map_comes_out_as_it_went_in() -> None:
    for label_map in (RELATED, LabelMap(()), RELATED):
        assert unpack(pack(label_map)) == label_map


def test_the_same_label_map_is_the_same_object_in_all_threads() -> None:
    mids = [f"/m/{number}" for number in range(5000)]
    packed = pack(number_classes(mids, {}))
    found: list[LabelMap] = []
    start = threading.Barrier(4)

    def take() -> None:
        start.wait()
        found.append(unpack(bytes(bytearray(packed))))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [item.name for item in found[0].items] == mids
    assert all(label_map is found[0] for label_map in found)
    assert len(found) == 4
