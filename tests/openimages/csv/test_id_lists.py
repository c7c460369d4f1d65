import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.id_lists import is_in, parse_box_ids, parse_image_ids
from oi_tfrecord.openimages.image_id import IdForm, format_id, id_key

IDS = st.sampled_from([0, 1, 7, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@given(st.lists(IDS), st.lists(IDS))
def test_is_in_is_that_of_a_set(ids: list[int], listed: list[int]) -> None:
    found = is_in(np.array(ids, np.uint64), np.unique(np.array(listed, np.uint64)))
    assert found.tolist() == [image_id in set(listed) for image_id in ids]


@given(
    st.lists(IDS),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", ",train", ',"a, b"']),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_a_list_of_images_is_read_with_and_without_header_and_columns(
    ids: list[int], header: bool, end: str, rest: str, mark: bytes
) -> None:
    lines = ["ImageID" + rest] * header + [format_id(image_id) + rest for image_id in ids]
    assert parse_image_ids(mark + end.join(lines).encode(), "ids.txt", "train").image_ids.tolist() == sorted(set(ids))


@pytest.mark.parametrize(
    "wrong", ["nonsense", "04dbbaa3763cd27", "04DBBAA3763CD275", "04dbbaa3763cd275.png", "train/x", "ImageID"]
)
@pytest.mark.parametrize("before", [1, 3])
def test_a_line_without_image_id_is_an_error_that_names_it(wrong: str, before: int) -> None:
    lines = ["ImageID", *["04dbbaa3763cd275"] * before, wrong, "also wrong"]
    with pytest.raises(InputError) as caught:
        parse_image_ids("\n".join(lines).encode(), "ids.txt", "train")
    assert (caught.value.path, caught.value.line) == ("ids.txt", before + 2)
    assert wrong in str(caught.value)


def test_lines_of_the_published_downloader_are_read_and_other_splits_counted() -> None:
    data = b"train/000000000000000a\ntrain/000000000000000b.jpg\ntest/000000000000000c\n000000000000000d.jpg\n"
    listed = parse_image_ids(data, "ids.txt", "train")
    assert (listed.image_ids.tolist(), listed.other_splits) == ([10, 11, 13], 1)


@pytest.mark.parametrize("line", ["./images/train/{}.jpg", "/data/train/{}", "TRAIN/{}.JPG", "{}.JPG"])
@pytest.mark.parametrize("header", ["", "image_id\n", "Image ID\r\n", "imageid\n"])
def test_paths_whose_last_folder_is_the_split_and_other_headers_are_read(line: str, header: str) -> None:
    data = header + line.format("000000000000000a") + "\n/data/test/000000000000000c.jpg\n"
    listed = parse_image_ids(data.encode(), "ids.txt", "train")
    assert (listed.image_ids.tolist(), listed.other_splits) == ([10], 1)


def test_a_list_of_box_ids_is_read_without_header_blanks_and_quotes() -> None:
    assert parse_box_ids(b'\xef\xbb\xbfBoxID\r\n"1a2b3c4d"\n 5e6f7a8b \n\n', "boxes.txt") == {"1a2b3c4d", "5e6f7a8b"}


def test_a_list_without_box_id_is_an_error() -> None:
    with pytest.raises(InputError, match=r"boxes.txt: the file lists no BoxID"):
        parse_box_ids(b"BoxID\n\n", "boxes.txt")


def test_a_list_of_names_holds_no_other_name_of_the_same_key() -> None:
    listed = parse_image_ids("b\na\n猫.jpg\n".encode(), "ids.txt", "train", IdForm.NAME)
    assert sorted(listed.texts(3)) == ["a", "b", "猫"]
    assert listed.texts(1) == [min(("a", "b", "猫"), key=lambda name: id_key(name.encode()))]
    assert [listed.holds(name.encode()) for name in ("a", "猫", "c")] == [True, True, False]
    with pytest.raises(InputError, match="64-bit hash"):
        listed.holds(format_id(id_key(b"a")).encode())
