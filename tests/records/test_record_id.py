import pytest

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.record_id import image_id_of, name_in


def test_the_image_id_is_the_source_id_or_the_file_name() -> None:
    features: dict[str, Values] = {
        "image/source_id": [b"00000000000000ab"],
        "image/filename": [b"00000000000000ab.jpg"],
    }
    assert image_id_of(features, ours=True) == b"00000000000000ab"
    features["image/source_id"] = [b"171"]
    assert image_id_of(features, ours=True) == b"00000000000000ab"
    assert image_id_of(features, ours=False) == b"171"
    del features["image/source_id"]
    assert image_id_of({"image/filename": [b"a.jpg"]}, ours=False) == b"a"
    assert image_id_of({"image/filename": [b"a.jpg"]}, ours=True) == b""
    assert image_id_of({}, ours=False) == b""


@pytest.mark.parametrize(
    ("file_name", "name"),
    [(b"img_1.jpg", b"img_1"), (b"a.jpg.jpg", b"a.jpg"), (b"a.png", b""), (b".jpg", b""), (b"a/b.jpg", b"")],
)
def test_a_file_name_holds_a_name(file_name: bytes, name: bytes) -> None:
    # A source id may be a number, which is a name, too.
    assert name_in({"image/source_id": [b"171"], "image/filename": [file_name]}) == name


@pytest.mark.parametrize("features", [{}, {"image/filename": []}, {"image/filename": None}])
def test_without_a_file_name_there_is_no_name(features: dict[str, Values]) -> None:
    assert name_in(features) == b""
